"""FastestDet (github.com/dog-qiuqiu/FastestDet): one grid, one box in each cell."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engines.decode.activation import sigmoid
from engines.decode.asked import Shape, check_finite
from engines.decode.boxes import Candidates, from_centres
from engines.engine import Array
from engines.manifest import ImageInput, Manifest


class FastestDet:
    """(5 + classes, rows, columns): objectness, four terms of the box, class probabilities.

    score = objectness^0.6 * class^0.4; centre = cell + tanh(term), size = sigmoid(term) of the whole input.
    """

    def __init__(self, output: str, manifest: Manifest) -> None:
        spec = manifest.input
        assert isinstance(spec, ImageInput), "the manifest gives detectors pictures"
        self.shapes: dict[str, Shape] = {output: (5 + len(manifest.labels), None, None)}
        self._output = output
        self._input = np.array([[spec.width], [spec.height]], np.float32)

    def candidates(self, outputs: Mapping[str, Array], threshold: float) -> Candidates:
        grid = outputs[self._output]
        check_finite(self._output, grid)
        rows, columns = grid.shape[1:]
        cells = grid.reshape(len(grid), -1)
        scores = np.maximum(cells[0], 0) ** np.float32(0.6) * np.maximum(cells[5:].max(axis=0), 0) ** np.float32(0.4)
        chosen = np.flatnonzero(scores >= threshold)
        cells = cells[:, chosen]
        corner = np.stack((chosen % columns, chosen // columns)).astype(np.float32)
        cell = self._input / np.array([[columns], [rows]], np.float32)
        corners = from_centres((corner + np.tanh(cells[1:3])) * cell, sigmoid(cells[3:5]) * self._input)
        return Candidates(corners, scores[chosen], cells[5:].argmax(axis=0))
