"""Resizing as image classifiers are trained with: bilinear with antialiasing, as Pillow and torchvision do it.

OpenCV's bilinear looks at four pixels however much it shrinks, so fine patterns turn into false coarse ones; there a
classifier gives other scores. Each output pixel is here the average of all input pixels within one output pixel of
its centre, weighted by a triangle (Heckbert, "Filtering by Recursive Warping", 1983; Pillow's `BILINEAR`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.engine import Array
from engines.placement import Placement

_BLOCK = 16
"""Output pixels that are computed by one matrix product; their inputs overlap little more than neighbours' do."""


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Output pixels `first` to `last` from input pixels `low` to `high`."""

    first: int
    last: int
    low: int
    high: int
    weights: Array
    """float32 (last - first, high - low); each row sums to 1."""


class Shrinker:
    """Resizes pictures of one size to one placement and cuts the middle out."""

    def __init__(self, placement: Placement, height: int, width: int) -> None:
        """`height`, `width`: of the part that is cut out, whose corner is the placement's negative `top`, `left`."""
        self._rows = _blocks(placement.picture_height, placement.height, -placement.top, height)
        self._columns = _blocks(placement.picture_width, placement.width, -placement.left, width)
        self._low, self._high = self._columns[0].low, self._columns[-1].high
        # Columns of interleaved colours: the weight of a pixel once for each of its three values.
        self._kernels = [np.kron(block.weights.T, np.eye(3, dtype=np.float32)) for block in self._columns]
        self._picture = np.empty((placement.picture_height, 3 * (self._high - self._low)), np.float32)
        self._short = np.empty((height, self._picture.shape[1]), np.float32)
        self._small = np.empty((height, 3 * width), np.float32)

    def shrink(self, pixels: Array, into: Array) -> None:
        """`pixels` uint8 (picture height, width, 3) to `into` uint8 (height, width, 3), rounded."""
        rows = slice(self._rows[0].low, self._rows[-1].high)
        wanted = self._picture[rows].reshape(rows.stop - rows.start, self._high - self._low, 3)
        np.copyto(wanted, pixels[rows, self._low : self._high])
        for block in self._rows:
            np.matmul(block.weights, self._picture[block.low : block.high], out=self._short[block.first : block.last])
        for block, kernel in zip(self._columns, self._kernels, strict=True):
            part = self._short[:, 3 * (block.low - self._low) : 3 * (block.high - self._low)]
            self._small[:, 3 * block.first : 3 * block.last] = part @ kernel
        np.add(self._small, np.float32(0.5), out=self._small)
        np.copyto(into, self._small.reshape(into.shape), casting="unsafe")


def _blocks(size: int, new_size: int, corner: int, count: int) -> list[_Block]:
    """How `count` output pixels from `corner` on come from a line of `size`, which is resized to `new_size`."""
    scale = size / new_size
    reach = max(scale, 1.0)
    blocks = []
    for first in range(0, count, _BLOCK):
        last = min(first + _BLOCK, count)
        centres = (np.arange(corner + first, corner + last) + 0.5) * scale
        low = max(0, int(centres[0] - reach + 0.5))
        high = min(size, int(centres[-1] + reach + 0.5))
        distances = np.abs(np.arange(low, high) + 0.5 - centres[:, np.newaxis])
        weights = np.maximum(0.0, 1.0 - distances / reach)
        weights /= weights.sum(axis=1, keepdims=True)
        blocks.append(_Block(first, last, low, high, weights.astype(np.float32)))
    return blocks
