"""The YOLO families: boxes in input pixels, as centre and size or, end to end, as corners."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engines.decode.asked import Shape, check_finite
from engines.decode.boxes import Candidates, from_centres
from engines.engine import Array, EngineError


class YoloV8:
    """(4 + classes, n), as YOLOv8, v9, 11 and 12 are exported, and v5 and v6 by Ultralytics."""

    def __init__(self, output: str, classes: int, extras: int = 0) -> None:
        """`extras`: further numbers of each box, behind the class scores."""
        self.shapes: dict[str, Shape] = {output: (4 + classes + extras, None)}
        self._output, self._scores = output, slice(4, 4 + classes)

    def candidates(self, outputs: Mapping[str, Array], threshold: float) -> Candidates:
        table = outputs[self._output]
        # The largest score of every box first: few get further, and only their columns are copied.
        best = table[self._scores].max(axis=0)
        check_finite(self._output, best)  # NaN and infinity among the scores are the largest of their box
        check_finite(self._output, table[:4])
        chosen = (best >= threshold).nonzero()[0]
        columns = table.take(chosen, axis=1)
        extras = columns[self._scores.stop :].T
        check_finite(self._output, extras)
        corners = from_centres(columns[:2], columns[2:4])
        return Candidates(corners, best[chosen], columns[self._scores].argmax(axis=0), extras)


class YoloV5:
    """(n, 5 + classes) with an objectness that each class score is multiplied by, as YOLOv5, v6 and v7 are exported."""

    def __init__(self, output: str, classes: int) -> None:
        self.shapes: dict[str, Shape] = {output: (None, 5 + classes)}
        self._output = output

    def candidates(self, outputs: Mapping[str, Array], threshold: float) -> Candidates:
        table = outputs[self._output]
        check_finite(self._output, table)
        rows = table[table[:, 4] >= threshold]  # no class score exceeds 1, so no other row can reach it
        scores = rows[:, 5:].max(axis=1) * rows[:, 4]
        rows, scores = rows[scores >= threshold], scores[scores >= threshold]
        return Candidates(from_centres(rows[:, :2].T, rows[:, 2:4].T), scores, rows[:, 5:].argmax(axis=1))


class YoloEnd2End:
    """(n, 6): left, top, right, bottom, score, class, as YOLOv10 and YOLO26 are exported; no duplicates."""

    def __init__(self, output: str, classes: int, extras: int = 0, *, centred: bool = False) -> None:
        """`extras`: further numbers of each box, behind the class. `centred`: boxes as centre and size."""
        self.shapes: dict[str, Shape] = {output: (None, 6 + extras)}
        self._output, self._count, self._centred = output, classes, centred

    def candidates(self, outputs: Mapping[str, Array], threshold: float) -> Candidates:
        table = outputs[self._output]
        check_finite(self._output, table)
        rows = table[table[:, 4] >= threshold]
        classes = rows[:, 5].astype(np.intp)
        for wrong in classes[(classes < 0) | (classes >= self._count)]:
            raise EngineError(f"the network found class {wrong}, but the model has {self._count} labels")
        corners = from_centres(rows[:, :2].T, rows[:, 2:4].T) if self._centred else rows[:, :4]
        return Candidates(corners, rows[:, 4], classes, rows[:, 6:])
