"""Which part of a picture a model service is shown, and its answer put back into the whole picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

from capture.samples import Pixels
from engines.predictions import Answer, Detection, Keypoint, Mask, Point, Pose, Prediction


@dataclass(frozen=True, slots=True)
class View:
    """A rectangle of a picture, in its pixels."""

    left: int
    top: int
    width: int
    height: int

    def of(self, pixels: Pixels) -> Pixels:
        """That part of a picture; looks at its memory."""
        return pixels[self.top : self.top + self.height, self.left : self.left + self.width]

    def back(self, answer: Answer) -> Answer:
        """What was found in the part, in pixels of the whole."""
        if not (self.left or self.top):
            return answer
        return replace(answer, predictions=tuple(self._moved(each) for each in answer.predictions))

    def _moved(self, prediction: Prediction) -> Prediction:
        if not isinstance(prediction, Detection):
            return prediction
        left, top, right, bottom = prediction.box
        x, y = self.left, self.top
        mask, pose, corners = prediction.mask, prediction.pose, prediction.corners
        return replace(
            prediction,
            box=(left + x, top + y, right + x, bottom + y),
            mask=mask and Mask(tuple(tuple(map(self._point, polygon)) for polygon in mask.polygons)),
            pose=pose and Pose(tuple(Keypoint(each.x + x, each.y + y, each.score) for each in pose.points)),
            corners=corners and (*map(self._point, corners),),  # type: ignore[arg-type]  # four of four
        )

    def _point(self, point: Point) -> Point:
        return point[0] + self.left, point[1] + self.top
