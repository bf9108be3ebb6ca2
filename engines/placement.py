"""Where a picture lies in a network's input, and the way back from boxes there to its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.engine import Array
from engines.manifest import ImageInput


@dataclass(frozen=True, slots=True)
class Placement:
    """A picture of `picture_*` pixels, resized to `width` x `height`, its corner at (`left`, `top`) of the input.

    A negative corner cuts off what is left of or above the input.
    """

    picture_width: int
    picture_height: int
    width: int
    height: int
    left: int
    top: int

    def to_picture(self, corners: Array) -> Array:
        """Boxes (n, 4) as left, top, right, bottom: from input pixels to float64 picture pixels, clipped to it."""
        gain_x, gain_y = self.picture_width / self.width, self.picture_height / self.height
        boxes = corners - np.array([self.left, self.top, self.left, self.top], np.float64)
        boxes *= (gain_x, gain_y, gain_x, gain_y)
        limits = (self.picture_width, self.picture_height, self.picture_width, self.picture_height)
        return np.asarray(np.minimum(np.maximum(boxes, 0), limits))

    def points_to_picture(self, points: Array) -> Array:
        """Points (…, 2): from input pixels to float64 picture pixels; not clipped."""
        gains = (self.picture_width / self.width, self.picture_height / self.height)
        return np.asarray((points - np.array([self.left, self.top], np.float64)) * gains)


def place(spec: ImageInput, height: int, width: int) -> Placement:
    """How a picture of this size is laid into the input."""
    if spec.fit == "letterbox":
        return _letterbox(spec, height, width)
    if spec.fit == "center-crop":
        return _center_crop(spec, height, width)
    return Placement(width, height, spec.width, spec.height, 0, 0)


def _letterbox(spec: ImageInput, height: int, width: int) -> Placement:
    """Ultralytics' rounding: both sides to the nearest pixel, an odd border is thinner at the left and top."""
    ratio = min(spec.height / height, spec.width / width)
    new_width, new_height = max(round(width * ratio), 1), max(round(height * ratio), 1)
    left, top = round((spec.width - new_width) / 2 - 0.1), round((spec.height - new_height) / 2 - 0.1)
    return Placement(width, height, new_width, new_height, left, top)


def _center_crop(spec: ImageInput, height: int, width: int) -> Placement:
    """torchvision's rounding: the longer side towards zero, the corner to the nearest pixel."""
    if spec.height * width >= spec.width * height:
        new_width, new_height = max(int(spec.height * width / height), spec.width), spec.height
    else:
        new_width, new_height = spec.width, max(int(spec.width * height / width), spec.height)
    left, top = round((new_width - spec.width) / 2), round((new_height - spec.height) / 2)
    return Placement(width, height, new_width, new_height, -left, -top)
