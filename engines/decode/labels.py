"""What the whole sample shows or sounds like: one score for each class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from engines.decode.activation import activation
from engines.decode.asked import Asked, Shape, check_finite
from engines.engine import Array, EngineError
from engines.manifest import Manifest
from engines.predictions import Label

_SCORE_DIGITS = 5


class LabelDecoder:
    """(classes,) to labels, the best first; with option `frames` (frames, classes), of which the mean counts."""

    def __init__(self, manifest: Manifest, output: str, most: int) -> None:
        """`most`: labels that are reported."""
        self._frames = bool(manifest.decoder.options.get("frames", False))
        self.shapes: dict[str, Shape] = {output: (None,) * self._frames + (len(manifest.labels),)}
        self._output = output
        self._labels = manifest.labels
        self._activation = activation(manifest.decoder)
        self._most = most

    def decode(self, outputs: Mapping[str, Array], asked: Asked) -> tuple[Label, ...]:
        check_finite(self._output, outputs[self._output])
        scores = self._activation(outputs[self._output])
        if self._frames:
            if not len(scores):
                raise EngineError(f"output {self._output} has no frame: the window of sound is too short for it")
            scores = scores.mean(axis=0)
        chosen = np.flatnonzero(scores >= asked.threshold)
        order = chosen[np.argsort(-scores[chosen], kind="stable")].tolist()
        wanted = [number for number in order if asked.wants(self._labels[number])]
        return tuple(
            Label(self._labels[number], number, round(float(scores[number]), _SCORE_DIGITS))
            for number in wanted[: self._most]
        )

    def memory(self) -> None:
        """Every window stands alone."""
