"""What of a camera's pictures a model service may see.

Pictures reach this place turned, cropped and with their privacy masks painted: capture does that first of all. That the
masks are black is looked at here once more, because what has left cannot be called back. A JPEG made here is made of
pixels alone: it has no EXIF, and nothing of what lies outside the part that is shown.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from appliance.pipeline.snapshot import jpeg
from appliance.remote.privacy import FORMS, Withheld
from appliance.remote.settings import Offload
from appliance.remote.view import View
from capture.geometry import Polygon
from capture.motion import MotionGate
from capture.samples import Frame, Pixels
from engines.engine import Array
from engines.predictions import Detection, Prediction

logger = logging.getLogger(__name__)

MARGIN = 0.15
"""Of the width and the height of what a crop is made around, on each side."""
LEAST_MARGIN_PX = 16
LEAST_SIDE_PX = 64
"""A crop smaller than that tells a network nothing."""
REMEMBER_S = 3.0
"""Where objects were, this long: after that they may be anywhere."""


class Viewer:
    """Decides for one pipeline which part of a picture may be shown. Used on one thread, but for `encode`."""

    def __init__(self, offload: Offload, masks: Sequence[Polygon] = ()) -> None:
        """`masks`: what capture has painted black in the pictures of this camera."""
        self._forms = FORMS[offload]
        self._offload = offload
        self._masks = _Masks(masks)
        self._gate = MotionGate() if self._by_crops else None
        self._moved: tuple[float, float, float, float] | None = None
        self._found: tuple[Detection, ...] = ()
        self._found_ns = 0

    @property
    def _by_crops(self) -> bool:
        return "crop" in self._forms and "sample" not in self._forms

    def watch(self, frame: Frame) -> None:
        """Every picture of the pipeline in its order, so that it is known where something moves."""
        if self._gate is not None:
            self._gate.moved(frame)
            self._moved = self._gate.where

    def found(self, frame: Frame, predictions: Sequence[Prediction]) -> None:
        """What a valid answer has shown, whoever gave it, in pixels of the whole picture."""
        self._found = tuple(each for each in predictions if isinstance(each, Detection))
        self._found_ns = frame.stamp.mono_ns

    def view(self, frame: Frame) -> View:
        """The part of this picture that may be shown; raises Withheld when none is."""
        height, width = frame.pixels.shape[:2]
        if "sample" in self._forms:
            return View(0, 0, width, height)
        if not self._by_crops:
            raise Withheld(f'offload = "{self._offload}" lets no picture leave the device')
        recent = frame.stamp.mono_ns - self._found_ns <= REMEMBER_S * 1e9
        boxes = [each.box for each in self._found] if recent else []
        if self._moved is not None:
            left, top, right, bottom = self._moved
            boxes.append((left * width, top * height, right * width, bottom * height))
        if not boxes:
            raise Withheld("nothing moves and nothing was found: there is no part of the picture to ask about")
        return _around(boxes, width, height)

    def encode(self, frame: Frame, view: View) -> bytes:
        """That part as JPEG; from any thread. Raises Withheld when a masked zone is not black."""
        if not self._masks.are_black(frame.pixels):
            logger.error("%s: a privacy mask is not painted: no picture leaves the device", frame.source)
            raise Withheld("a privacy mask is not painted: no picture leaves the device")
        return jpeg(view.of(frame.pixels))


def _around(boxes: Sequence[tuple[float, float, float, float]], width: int, height: int) -> View:
    """The smallest part of a picture of this size that holds all boxes and their margin."""
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    x, across = _widened(left, right, width)
    y, down = _widened(top, bottom, height)
    return View(x, y, across, down)


def _widened(start: float, end: float, most: int) -> tuple[int, int]:
    """Start and length in whole pixels, inside 0 to `most`."""
    margin = max(MARGIN * (end - start), LEAST_MARGIN_PX, (LEAST_SIDE_PX - (end - start)) / 2)
    first, last = max(0, int(start - margin)), min(most, int(np.ceil(end + margin)))
    first = max(0, min(first, last - LEAST_SIDE_PX))
    return first, min(max(last, first + LEAST_SIDE_PX), most) - first


class _Masks:
    """Privacy masks as pixels, made once for each size of picture."""

    def __init__(self, masks: Sequence[Polygon]) -> None:
        self._masks = tuple(masks)
        self._painted: tuple[tuple[int, int], Array] | None = None

    def are_black(self, pixels: Pixels) -> bool:
        """Whether every pixel of a picture that should be hidden is."""
        if not self._masks:
            return True
        import cv2

        size = (pixels.shape[0], pixels.shape[1])
        painted = self._painted
        if painted is None or painted[0] != size:
            plane = np.zeros(size, np.uint8)
            for mask in self._masks:
                cv2.fillPoly(plane, [np.array(mask, np.int32)], (255,))
            self._painted = painted = (size, plane)
        return cv2.norm(pixels, cv2.NORM_INF, painted[1]) == 0
