"""RT-DETR, D-FINE and their like: a fixed number of boxes, each for one object, as shares of the picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engines.decode.activation import activation
from engines.decode.asked import Shape, check_finite
from engines.decode.boxes import Candidates, from_centres
from engines.engine import Array, EngineError
from engines.manifest import ImageInput, Manifest


def make_detr(manifest: Manifest, output: str) -> Detr | DetrTable:
    """As the options say: two tensors, or one table."""
    return Detr(manifest) if "boxes" in manifest.decoder.options else DetrTable(manifest, output)


class Detr:
    """`boxes` (n, 4) centre and size, `scores` (n, classes). A box may show objects of several classes, as in the
    authors' own selection of the best pairs of box and class."""

    def __init__(self, manifest: Manifest) -> None:
        options = manifest.decoder.options
        if "scores" not in options:
            raise EngineError(f"{manifest.name}: decoder detr needs option scores beside boxes")
        self._boxes, self._scores = str(options["boxes"]), str(options["scores"])
        self._size = _size(manifest)
        self._activation = activation(manifest.decoder)
        self.shapes: dict[str, Shape] = {self._boxes: (None, 4), self._scores: (None, len(manifest.labels))}

    def candidates(self, outputs: Mapping[str, Array], threshold: float) -> Candidates:
        boxes = outputs[self._boxes]
        check_finite(self._boxes, boxes)
        check_finite(self._scores, outputs[self._scores])
        scores = self._activation(outputs[self._scores])
        if len(boxes) != len(scores):
            raise EngineError(f"{len(boxes)} boxes with {len(scores)} rows of scores")
        rows, classes = np.nonzero(scores >= threshold)
        corners = from_centres(boxes[rows, :2].T, boxes[rows, 2:].T) * self._size
        return Candidates(corners, scores[rows, classes], classes)


class DetrTable:
    """`output` (n, 4 + classes), or (n, 6) with `selected`: centre, size, then scores, or score and class."""

    def __init__(self, manifest: Manifest, output: str) -> None:
        self._selected = bool(manifest.decoder.options.get("selected", False))
        self._output, self._count = output, len(manifest.labels)
        self._size = _size(manifest)
        self._activation = activation(manifest.decoder)
        self.shapes: dict[str, Shape] = {output: (None, 6 if self._selected else 4 + self._count)}

    def candidates(self, outputs: Mapping[str, Array], threshold: float) -> Candidates:
        table = outputs[self._output]
        check_finite(self._output, table)
        if self._selected:
            scores, classes = table[:, 4], table[:, 5].astype(np.intp)
        else:
            every = self._activation(table[:, 4:])
            scores, classes = every.max(axis=1), every.argmax(axis=1)
        chosen = np.flatnonzero(scores >= threshold)
        for wrong in classes[chosen][(classes[chosen] < 0) | (classes[chosen] >= self._count)]:
            raise EngineError(f"the network found class {wrong}, but the model has {self._count} labels")
        corners = from_centres(table[chosen, :2].T, table[chosen, 2:4].T) * self._size
        return Candidates(corners, scores[chosen], classes[chosen])


def _size(manifest: Manifest) -> Array:
    spec = manifest.input
    assert isinstance(spec, ImageInput), "the manifest gives detectors pictures"
    return np.array([spec.width, spec.height] * 2, np.float32)
