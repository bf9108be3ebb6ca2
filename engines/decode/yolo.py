"""The YOLO families: boxes in input pixels, as centre and size or, end to end, as corners."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engines.decode.asked import Shape, check_finite
from engines.decode.boxes import Candidates, from_centres
from engines.engine import Array, EngineError


class YoloV8:
    """(4 + classes, n), as YOLOv8, v9, 11 and 12 are exported, and v5 and v6 by Ultralytics."""

    def __init__(self, output: str, classes: int) -> None:
        self.shapes: dict[str, Shape] = {output: (4 + classes, None)}
        self._output = output

    def candidates(self, outputs: Mapping[str, Array], threshold: float) -> Candidates:
        table = outputs[self._output]
        # The largest score of every box first: few get further, and only their columns are copied.
        best = table[4:].max(axis=0)
        check_finite(self._output, best)  # NaN and infinity among the scores are the largest of their box
        check_finite(self._output, table[:4])
        chosen = (best >= threshold).nonzero()[0]
        columns = table.take(chosen, axis=1)
        return Candidates(from_centres(columns[:2], columns[2:4]), best[chosen], columns[4:].argmax(axis=0))


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

    def __init__(self, output: str, classes: int) -> None:
        self.shapes: dict[str, Shape] = {output: (None, 6)}
        self._output, self._count = output, classes

    def candidates(self, outputs: Mapping[str, Array], threshold: float) -> Candidates:
        table = outputs[self._output]
        check_finite(self._output, table)
        rows = table[table[:, 4] >= threshold]
        classes = rows[:, 5].astype(np.intp)
        for wrong in classes[(classes < 0) | (classes >= self._count)]:
            raise EngineError(f"the network found class {wrong}, but the model has {self._count} labels")
        return Candidates(rows[:, :4], rows[:, 4], classes)
