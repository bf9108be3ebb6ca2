"""Parts of objects: every box comes with a fixed number of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from engines.decode.boxes import Candidates
from engines.decode.dressed import option
from engines.engine import Array, EngineError
from engines.manifest import Manifest
from engines.placement import Placement
from engines.predictions import Detection, Keypoint, Pose

_PIXEL_DIGITS = 2
_SCORE_DIGITS = 5


class Poses:
    """Gives detections their points: across and down in input pixels, and with three values how visible they are."""

    def __init__(self, manifest: Manifest) -> None:
        self._points, self._values = option(manifest, "points"), option(manifest, "values")
        if self._values not in (2, 3):
            raise EngineError(f"{manifest.name}: decoder yolo-pose: values is {self._values}; expected 2 or 3")

    def __call__(
        self, detections: Sequence[Detection], found: Candidates, outputs: Mapping[str, Array], placement: Placement
    ) -> tuple[Detection, ...]:
        assert found.extras is not None, "families of pose models read points"
        points = found.extras.reshape(-1, self._points, self._values)
        limits = (placement.picture_width, placement.picture_height)
        places = np.clip(placement.points_to_picture(points[:, :, :2]), 0, limits)
        seen = points[:, :, 2] if self._values == 3 else np.ones(points.shape[:2])
        places, seen = np.round(places, _PIXEL_DIGITS), np.round(np.clip(seen.astype(np.float64), 0, 1), _SCORE_DIGITS)
        return tuple(
            replace(detection, pose=Pose(tuple(Keypoint(x, y, score) for (x, y), score in zip(at, how, strict=True))))
            for detection, at, how in zip(detections, places.tolist(), seen.tolist(), strict=True)
        )
