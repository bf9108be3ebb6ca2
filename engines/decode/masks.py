"""Outlines of objects: every box has coefficients, and its mask is their sum of the prototypes, cut to the box.

The formula is YOLACT's (Bolya et al., 2019) as Ultralytics applies it: coefficients times prototypes, enlarged linearly
to the input, visible where it is above 0 (a sigmoid above one half), cut to the box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil, floor

import numpy as np

from engines.decode.asked import Shape, check_finite
from engines.decode.boxes import Candidates
from engines.decode.dressed import option
from engines.engine import Array, EngineError
from engines.manifest import ImageInput, Manifest
from engines.placement import Placement
from engines.predictions import Detection, Mask

_ROUGH_PX = 0.5
"""Outlines follow the mask this closely, in input pixels: a tenth of the points, and nobody sees it."""
_DIGITS = 1


class Masks:
    """Gives detections their outlines; one whose mask is empty is dropped, as Ultralytics does."""

    def __init__(self, manifest: Manifest) -> None:
        spec = manifest.input
        assert isinstance(spec, ImageInput), "the manifest gives detectors pictures"
        self._size = (spec.height, spec.width)
        self._protos = str(manifest.decoder.options.get("protos", ""))
        if not self._protos:
            raise EngineError(f"{manifest.name}: decoder yolo-seg needs option protos, the name of an output")
        self.shapes: dict[str, Shape] = {self._protos: (option(manifest, "coefficients"), None, None)}

    def __call__(
        self, detections: Sequence[Detection], found: Candidates, outputs: Mapping[str, Array], placement: Placement
    ) -> tuple[Detection, ...]:
        assert found.extras is not None, "families of segmenters read coefficients"
        protos = outputs[self._protos]
        check_finite(self._protos, protos)
        told = []
        for detection, coefficients, corners in zip(detections, found.extras, found.corners, strict=True):
            left, top, mask = self._mask(protos, coefficients, corners)
            outlines = _outlines(mask, left, top, placement)
            if outlines:
                told.append(replace(detection, mask=Mask(outlines)))
        return tuple(told)

    def _mask(self, protos: Array, coefficients: Array, corners: Array) -> tuple[int, int, Array]:
        """Left, top and uint8 pixels of the part of the input that the box covers."""
        import cv2

        height, width = self._size
        rows, columns = protos.shape[1:]
        if height % rows or width % columns:
            raise EngineError(f"prototypes of {columns}x{rows} do not fit an input of {width}x{height}")
        down, across = height // rows, width // columns
        left, top = max(ceil(corners[0]), 0), max(ceil(corners[1]), 0)
        right, bottom = min(ceil(corners[2]), width), min(ceil(corners[3]), height)
        if right <= left or bottom <= top:
            return 0, 0, np.zeros((0, 0), np.uint8)
        # Only the cells of the box and one around it: enlarging looks no further.
        first = max(floor(top / down) - 1, 0), max(floor(left / across) - 1, 0)
        last = min(ceil(bottom / down) + 1, rows), min(ceil(right / across) + 1, columns)
        part = np.tensordot(coefficients, protos[:, first[0] : last[0], first[1] : last[1]], axes=1)
        size = (part.shape[1] * across, part.shape[0] * down)
        large = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
        y, x = first[0] * down, first[1] * across
        return left, top, (large[top - y : bottom - y, left - x : right - x] > 0).astype(np.uint8)


def _outlines(mask: Array, left: int, top: int, placement: Placement) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Of every part of the mask, in pixels of the picture; the largest first."""
    import cv2

    if not mask.any():
        return ()
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))
    told = []
    for contour in sorted(contours, key=cv2.contourArea, reverse=True):
        points = cv2.approxPolyDP(contour, _ROUGH_PX, True).reshape(-1, 2)
        if len(points) < 3:  # a line, or a single pixel: the rectangle it fills
            x, y, width, height = cv2.boundingRect(contour)
            points = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])
        limits = (placement.picture_width, placement.picture_height)
        places = np.clip(placement.points_to_picture(points), 0, limits)
        told.append(tuple((x, y) for x, y in np.round(places, _DIGITS).tolist()))
    return tuple(told)
