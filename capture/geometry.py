"""Turning, mirroring, cropping and blacking out: what happens to a picture before anybody sees it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from capture.samples import Pixels
from capture.source import CaptureError

Rotation: TypeAlias = Literal[0, 90, 180, 270]
Flip: TypeAlias = Literal["none", "horizontal", "vertical", "both"]
Polygon: TypeAlias = tuple[tuple[int, int], ...]

_FLIP_CODES = {"horizontal": 1, "vertical": 0, "both": -1}  # cv2.flip: around the y axis, the x axis, both


@dataclass(frozen=True, slots=True)
class Geometry:
    """Steps from the sensor's picture to the final one, in this order: rotate, flip, crop, mask."""

    rotate: Rotation = 0
    """Degrees clockwise."""

    flip: Flip = "none"
    """`horizontal` exchanges left and right."""

    crop: tuple[int, int, int, int] | None = None
    """x, y, width, height in pixels of the rotated and flipped picture."""

    masks: tuple[Polygon, ...] = ()
    """Polygons painted black, as (x, y) in pixels of the final picture; their outline is painted too."""

    def __post_init__(self) -> None:
        if self.rotate not in (0, 90, 180, 270):
            raise ValueError(f"rotate = {self.rotate}: expected 0, 90, 180 or 270 degrees")
        if self.flip != "none" and self.flip not in _FLIP_CODES:
            raise ValueError(f"flip = {self.flip!r}: expected none, horizontal, vertical or both")
        if self.crop is not None and (min(self.crop[:2]) < 0 or min(self.crop[2:]) < 1):
            raise ValueError(f"crop = {list(self.crop)}: expected x, y, width, height inside the picture")
        for mask in self.masks:
            if len(mask) < 3:
                raise ValueError(f"mask {[list(point) for point in mask]}: a polygon needs at least 3 points")

    def apply(self, pixels: Pixels) -> Pixels:
        """The final picture, uint8 (height, width, 3), contiguous.

        `pixels` must be the caller's own: with nothing asked it is returned as it is, and masks are painted into it
        where no earlier step made a copy. Raises CaptureError when crop or a mask does not fit this picture: a mask
        drawn for another size must not quietly uncover what it should hide.
        """
        if self.rotate:
            pixels = _rotated(pixels, self.rotate)
        if self.flip != "none":
            pixels = _flipped(pixels, self.flip)
        if self.crop is not None:
            pixels = _cropped(pixels, self.crop)
        if self.masks:
            pixels = _masked(pixels, self.masks)
        return pixels


def _rotated(pixels: Pixels, degrees: Rotation) -> Pixels:
    import cv2

    codes = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
    return np.asarray(cv2.rotate(pixels, codes[degrees]), np.uint8)


def _flipped(pixels: Pixels, flip: Flip) -> Pixels:
    import cv2

    return np.asarray(cv2.flip(pixels, _FLIP_CODES[flip]), np.uint8)


def _cropped(pixels: Pixels, crop: tuple[int, int, int, int]) -> Pixels:
    x, y, width, height = crop
    has_height, has_width = pixels.shape[:2]
    if x + width > has_width or y + height > has_height:
        raise CaptureError(
            f"crop {width}x{height} at ({x}, {y}) reaches outside the picture of {has_width}x{has_height}: "
            "make the crop smaller, or ask the camera for the size it was drawn for"
        )
    return np.ascontiguousarray(pixels[y : y + height, x : x + width])


def _masked(pixels: Pixels, masks: tuple[Polygon, ...]) -> Pixels:
    import cv2

    polygons = _fitting(masks, pixels.shape[1], pixels.shape[0])
    if not pixels.flags.writeable:
        pixels = pixels.copy()
    for polygon in polygons:  # one by one: where polygons of one call overlap, fillPoly leaves a hole
        cv2.fillPoly(pixels, [polygon], (0, 0, 0))
    return pixels


@lru_cache(maxsize=64)
def _fitting(masks: tuple[Polygon, ...], width: int, height: int) -> list[npt.NDArray[np.int32]]:
    """The polygons as fillPoly wants them, once they are known to lie in a picture of this size."""
    for mask in masks:
        for x, y in mask:
            if not (0 <= x <= width and 0 <= y <= height):
                raise CaptureError(
                    f"a privacy mask has the point ({x}, {y}) outside the picture of {width}x{height}: "
                    "draw the mask for this size, or ask the camera for the size it was drawn for"
                )
    return [np.array(mask, np.int32) for mask in masks]
