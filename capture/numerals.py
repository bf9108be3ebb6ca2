"""The digits 0 to 9, drawn by geometry alone: as seven segments, and as strokes of a pen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from capture.opencv import load_opencv
from capture.samples import Pixels

SEGMENTS_WIDTH, STROKES_WIDTH = 0.58, 0.6
"""Of a digit's cell, as shares of its height."""

_LIT = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")
"""Segments of each digit: a on top, then clockwise to f, g in the middle."""
_SEGMENT, _PEN = 0.13, 0.13
"""Thickness, as a share of the height."""
_FINE = 4
"""Drawn so many times larger, and shrunk."""
_SUBPIXEL_BITS = 4

_Points = npt.NDArray[np.float64]


def segments(digit: int, height_px: int) -> Pixels:
    """uint8 (height_px, width), 255 where a seven-segment display is lit; digit 8 is all of it."""
    cv2 = load_opencv()
    canvas = _canvas(height_px, SEGMENTS_WIDTH)
    for name in _LIT[digit]:
        cv2.fillPoly(canvas, [_fixed(_segment(name), height_px)], 255, cv2.LINE_AA, _SUBPIXEL_BITS)
    return _shrunk(cv2, canvas)


def strokes(digit: int, height_px: int) -> Pixels:
    """uint8 (height_px, width), 255 where a pen went."""
    cv2 = load_opencv()
    canvas = _canvas(height_px, STROKES_WIDTH)
    pen = max(1, round(_PEN * height_px * _FINE))
    for line in _LINES[digit]:
        cv2.polylines(canvas, [_fixed(line, height_px)], False, 255, pen, cv2.LINE_AA, _SUBPIXEL_BITS)
    return _shrunk(cv2, canvas)


def _canvas(height_px: int, width: float) -> Pixels:
    return np.zeros((height_px * _FINE, round(height_px * width) * _FINE), np.uint8)


def _shrunk(cv2: Any, canvas: Pixels) -> Pixels:
    size = canvas.shape[1] // _FINE, canvas.shape[0] // _FINE
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)


def _fixed(points: _Points, height_px: int) -> npt.NDArray[np.int32]:
    """Shares of the height as OpenCV's fixed point on a canvas."""
    return np.asarray(np.round(points * height_px * _FINE * 2**_SUBPIXEL_BITS), np.int32)


def _segment(name: str) -> _Points:
    """(6, 2): one segment, pointed at both ends."""
    half, gap = _SEGMENT / 2, 0.012
    left, right = half, SEGMENTS_WIDTH - half
    heights = {"a": half, "g": 0.5, "d": 1 - half}
    if name in heights:
        y, start, end = heights[name], left + gap, right - gap
        points = [(start, y), (start + half, y - half), (end - half, y - half),
                  (end, y), (end - half, y + half), (start + half, y + half)]  # fmt: skip
    else:
        x = left if name in "ef" else right
        start, end = (half + gap, 0.5 - gap) if name in "bf" else (0.5 + gap, 1 - half - gap)
        points = [(x, start), (x + half, start + half), (x + half, end - half),
                  (x, end), (x - half, end - half), (x - half, start + half)]  # fmt: skip
    return np.array(points)


def _arc(centre: tuple[float, float], reach: tuple[float, float], start_deg: float, end_deg: float) -> _Points:
    """Part of an ellipse; angles from the right, clockwise."""
    angles = np.radians(np.linspace(start_deg, end_deg, 40))
    return np.stack([centre[0] + reach[0] * np.cos(angles), centre[1] + reach[1] * np.sin(angles)], axis=1)


def _bent(start: tuple[float, float], towards: tuple[float, float], end: tuple[float, float]) -> _Points:
    """A quadratic Bézier curve."""
    t = np.linspace(0, 1, 20)[:, np.newaxis]
    return np.asarray((1 - t) ** 2 * np.array(start) + 2 * t * (1 - t) * np.array(towards) + t**2 * np.array(end))


_ROUND = 0.0, 360.0
_SIX = (_arc((0.3, 0.68), (0.235, 0.255), *_ROUND), _bent((0.44, 0.065), (0.11, 0.22), (0.066, 0.66)))
_LINES: tuple[tuple[_Points, ...], ...] = (
    (_arc((0.3, 0.5), (0.235, 0.435), *_ROUND),),
    (np.array([(0.12, 0.23), (0.33, 0.065), (0.33, 0.935)]),),
    (np.concatenate([_arc((0.3, 0.3), (0.23, 0.235), 190, 400), [(0.075, 0.935), (0.535, 0.935)]]),),
    (
        np.concatenate(
            [_arc((0.28, 0.285), (0.215, 0.22), 200, 450), _arc((0.28, 0.72), (0.25, 0.215), 270, 520)],
        ),
    ),
    (np.array([(0.41, 0.935), (0.41, 0.065), (0.065, 0.67), (0.535, 0.67)]),),
    (np.concatenate([[(0.5, 0.065), (0.13, 0.065), (0.1, 0.46)], _arc((0.29, 0.645), (0.245, 0.29), 219, 510)]),),
    _SIX,
    (np.array([(0.065, 0.065), (0.535, 0.065), (0.22, 0.935)]),),
    (_arc((0.3, 0.285), (0.2, 0.22), *_ROUND), _arc((0.3, 0.72), (0.235, 0.215), *_ROUND)),
    tuple(np.array([STROKES_WIDTH, 1.0]) - line for line in _SIX),
)
"""Of each digit, what the pen's middle goes along, as shares of the height."""
