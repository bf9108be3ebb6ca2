"""Is anything moving? A cheap question that saves a model the pictures in which nothing happens."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from capture.samples import Frame, Pixels

_SMALL_WIDTH = 160
_DIFFERENT_GREY = 18.0
"""Grey levels by which a blurred, shrunk picture must differ; sensor noise stays well below."""

_FORGET_S = 4.0
"""Time constant with which the background follows the picture: what stops moving fades into it."""


Region: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the picture, 0 to 1."""


class MotionGate:
    """Compares each frame, small and grey, with a running background.

    `threshold` is the share of the picture (0 to 1) that must differ. Once something moved, the gate stays open for
    `hold_s`. Frames closer than `min_interval_s` to the last one looked at get its answer without a look. Time is the
    frames' own; there is no clock in here. Use one gate per source.
    """

    def __init__(self, threshold: float = 0.004, min_interval_s: float = 0.0, hold_s: float = 2.0) -> None:
        if not 0 < threshold < 1:
            raise ValueError(f"motion threshold = {threshold}: expected a share of the picture between 0 and 1")
        self._threshold = threshold
        self._min_interval_s = min_interval_s
        self._hold_s = hold_s
        self._background: npt.NDArray[np.float32] | None = None
        self._looked_s = -math.inf
        self._open_until_s = -math.inf
        self._moving = True
        self._share = 1.0
        self._where: Region | None = None

    @property
    def share(self) -> float:
        """Share of the picture that differed when it was last looked at."""
        return self._share

    @property
    def where(self) -> Region | None:
        """What lay around all that differed when it was last looked at; None when nothing did, and for the first
        frame, which has nothing to be compared with."""
        return self._where

    def moved(self, frame: Frame) -> bool:
        """Whether something moves in `frame`; always true for the first frame, and when the size changes."""
        now_s = frame.stamp.mono_ns / 1e9
        if now_s - self._looked_s < self._min_interval_s:
            return self._moving
        small = _small_grey(frame.pixels)
        if self._background is None or self._background.shape != small.shape:
            self._background, self._share, self._where = small, 1.0, None
        else:
            self._share = self._changed(small, now_s - self._looked_s)
        self._looked_s = now_s
        if self._share >= self._threshold:
            self._open_until_s = now_s + self._hold_s
        self._moving = now_s <= self._open_until_s
        return self._moving

    def _changed(self, small: npt.NDArray[np.float32], since_s: float) -> float:
        """Share of `small` that differs from the background, which then follows it."""
        import cv2

        assert self._background is not None
        different = cv2.absdiff(small, self._background) > _DIFFERENT_GREY
        self._where = _around(different)
        cv2.accumulateWeighted(small, self._background, 1 - math.exp(-max(since_s, 0.0) / _FORGET_S))
        return int(np.count_nonzero(different)) / different.size


def _small_grey(pixels: Pixels) -> npt.NDArray[np.float32]:
    """About 160 wide, float32. Bilinear looks at four pixels per result only, hence the blur against noise."""
    import cv2

    height, width = pixels.shape[:2]
    size = (_SMALL_WIDTH, max(1, round(height * _SMALL_WIDTH / width)))
    grey = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.blur(grey, (5, 5)), np.float32)


def _around(different: npt.NDArray[np.bool_]) -> Region | None:
    """The smallest region that holds every pixel that is set."""
    rows, columns = np.flatnonzero(different.any(axis=1)), np.flatnonzero(different.any(axis=0))
    if not len(rows):
        return None
    height, width = different.shape
    return (
        float(columns[0]) / width,
        float(rows[0]) / height,
        float(columns[-1] + 1) / width,
        float(rows[-1] + 1) / height,
    )
