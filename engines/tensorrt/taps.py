"""Which source pixels an output pixel is made of, and how much of each: OpenCV's own weights, once per size."""

from __future__ import annotations

import numpy as np

from engines.engine import Array

TAP = np.dtype([("near", "i4"), ("far", "i4"), ("near_weight", "i4"), ("far_weight", "i4")])
"""As `Tap` in letterbox.cuh."""

_PARTS = 2048


def across(source: int, target: int) -> Array:
    """(target,) of TAP for columns: bilinear, half-pixel centres; past the first and last column it repeats them."""
    at, share = _positions(source, target)
    outside = (at < 0) | (at >= source - 1)
    share[outside] = 0
    near = np.clip(at, 0, source - 1)
    return _taps(near, np.minimum(near + 1, source - 1), share)


def down(source: int, target: int) -> Array:
    """(target,) of TAP for rows: as columns, but OpenCV weighs the edge rows with themselves."""
    at, share = _positions(source, target)
    return _taps(np.clip(at, 0, source - 1), np.clip(at + 1, 0, source - 1), share)


def _positions(source: int, target: int) -> tuple[Array, Array]:
    """The pixel before each centre, and how far beyond it the centre lies, as OpenCV's float32 has it."""
    scale = 1.0 / (target / source)
    centres = ((np.arange(target) + 0.5) * scale - 0.5).astype(np.float32)
    at = np.floor(centres).astype(np.int32)
    return at, centres - at.astype(np.float32)


def _taps(near: Array, far: Array, share: Array) -> Array:
    taps = np.empty(len(near), TAP)
    taps["near"], taps["far"] = near, far
    share = share.astype(np.float32)
    taps["near_weight"] = np.rint((np.float32(1) - share) * _PARTS)
    taps["far_weight"] = np.rint(share * _PARTS)
    return taps
