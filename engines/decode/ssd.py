"""SSD-style: one tensor of boxes, one of scores, a row per prior."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engines.decode.activation import activation
from engines.decode.asked import Shape, check_finite
from engines.decode.boxes import Candidates
from engines.engine import Array, EngineError
from engines.manifest import ImageInput, Manifest


class Ssd:
    """`scores` (n, classes) and `boxes` (n, 4) as corners. A prior may show objects of several classes."""

    def __init__(self, manifest: Manifest) -> None:
        options, spec = manifest.decoder.options, manifest.input
        assert isinstance(spec, ImageInput), "the manifest gives detectors pictures"
        try:
            self._boxes, self._scores = str(options["boxes"]), str(options["scores"])
        except KeyError as missing:
            raise EngineError(
                f"{manifest.name}: decoder ssd needs options boxes and scores: {missing} is missing"
            ) from missing
        self._nothing = 1 if options.get("background", False) else 0
        self._size = np.array(
            [spec.width, spec.height] * 2 if options.get("normalised", False) else [1] * 4, np.float32
        )
        self._activation = activation(manifest.decoder)
        self.shapes: dict[str, Shape] = {
            self._boxes: (None, 4),
            self._scores: (None, self._nothing + len(manifest.labels)),
        }

    def candidates(self, outputs: Mapping[str, Array], threshold: float) -> Candidates:
        if len(outputs[self._boxes]) != len(outputs[self._scores]):
            raise EngineError(f"{len(outputs[self._boxes])} boxes with {len(outputs[self._scores])} rows of scores")
        check_finite(self._boxes, outputs[self._boxes])
        check_finite(self._scores, outputs[self._scores])
        scores = self._activation(outputs[self._scores])[:, self._nothing :]
        rows, classes = np.nonzero(scores >= threshold)
        return Candidates(outputs[self._boxes][rows] * self._size, scores[rows, classes], classes)
