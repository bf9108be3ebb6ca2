"""Pictures for browsers: made small enough, encoded once for all viewers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from appliance.pipeline.snapshot import LONGEST_SIDE, jpeg
from capture.samples import Pixels

if TYPE_CHECKING:
    from appliance.page.jpeg_process import JpegProcess

WIDEST_PX = 1280
THUMBNAIL_PX = 96
_MARGIN = 0.15
"""Of the longer side of a box, around it."""


def shown(pixels: Pixels, process: JpegProcess | None = None) -> bytes:
    """JPEG of a picture, at most WIDEST_PX wide. `process`: who makes it, when it can; else this thread."""
    height, width = pixels.shape[:2]
    size = (width, height) if width <= WIDEST_PX else (WIDEST_PX, max(1, round(height * WIDEST_PX / width)))
    if process is not None and max(size) <= LONGEST_SIDE and (made := process.encode(pixels, *size)) is not None:
        return made
    return jpeg(pixels if size == (width, height) else _resized(pixels, *size))


def thumbnail(pixels: Pixels, box: tuple[float, float, float, float]) -> bytes:
    """JPEG of what is in the box and a little around it, its longer side THUMBNAIL_PX."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = box
    half = max(right - left, bottom - top, 8.0) * (0.5 + _MARGIN)
    x, y = (left + right) / 2, (top + bottom) / 2
    x0, x1 = _inside(x - half, x + half, width)
    y0, y1 = _inside(y - half, y + half, height)
    part = pixels[y0:y1, x0:x1]
    scale = THUMBNAIL_PX / max(part.shape[:2])
    return jpeg(_resized(part, max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))))


def _inside(low: float, high: float, most: int) -> tuple[int, int]:
    """The stretch in whole pixels, at least one, none outside."""
    first = min(max(0, int(low)), most - 1)
    return first, max(first + 1, min(most, int(high) + 1))


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    import cv2

    # Area is quick for halves alone, and four times as slow as linear for everything else.
    halves = pixels.shape[1] == 2 * width and pixels.shape[0] == 2 * height
    how = cv2.INTER_AREA if halves else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)
