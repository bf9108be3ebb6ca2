"""What all object detectors have in common: from candidates in the input tensor to detections in the picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from engines.decode.asked import Asked, Shape
from engines.decode.beside import beside
from engines.decode.nms import suppress
from engines.engine import Array
from engines.manifest import Manifest
from engines.placement import Placement
from engines.predictions import Detection

_SCORE_DIGITS = 5
_BOX_DIGITS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes that score enough; several may show the same object."""

    corners: Array
    """(n, 4) left, top, right, bottom in input pixels."""
    scores: Array
    """(n,), 0 to 1."""
    classes: Array
    """(n,), integers."""
    extras: Array | None = None
    """(n, k): what else the network says of each box; only its family knows what."""


class Family(Protocol):
    """A way of writing boxes into tensors."""

    shapes: dict[str, Shape]

    def candidates(self, outputs: Mapping[str, Array], threshold: float) -> Candidates:
        """Every box with a score of at least `threshold`; raises EngineError for values that cannot be."""


class Dress(Protocol):
    """Makes more of detections than boxes. Its `shapes`, if it has any, are the further outputs it reads."""

    def __call__(
        self, detections: Sequence[Detection], found: Candidates, outputs: Mapping[str, Array], placement: Placement
    ) -> tuple[Detection, ...]:
        """`found`: the candidates of these detections, in the same order."""


Suppress: TypeAlias = "Callable[[Candidates, Array | None, float], Array]"
"""Of candidates, classes (None: all the same) and the share of overlap, the indices that stay, the best first."""


def upright(found: Candidates, classes: Array | None, iou: float) -> Array:
    """Plain boxes."""
    return suppress(found.corners, found.scores, classes, iou)


class BoxDecoder:
    """A `Decoder` for a family of object detectors."""

    def __init__(
        self, manifest: Manifest, family: Family, dress: Dress | None = None, suppress: Suppress = upright
    ) -> None:
        self.shapes = family.shapes | getattr(dress, "shapes", {})
        self._family = family
        self._dress = dress
        self._suppress = suppress
        self._labels = manifest.labels
        self._settings = manifest.decoder
        self._beside = float(manifest.decoder.options.get("beside", 1.0))
        self._wanted: dict[frozenset[str], Array] = {}
        """By labels asked for: of every class, whether it is one of them."""

    def decode(self, outputs: Mapping[str, Array], asked: Asked) -> tuple[Detection, ...]:
        assert asked.placement is not None, "a detector is asked about pictures"
        found = self._family.candidates(outputs, asked.threshold * self._beside)
        if len(found.scores) == 0:
            return ()
        if self._beside < 1:  # what lies in the same place, or beside, counts whatever it is called
            found = self._best(found)
            found = self._called(asked.labels, _only(found, beside(found.corners, found.scores, asked.threshold)))
        else:
            found = self._best(self._called(asked.labels, found))
        boxes = asked.placement.to_picture(found.corners).round(_BOX_DIGITS).tolist()
        scores = found.scores.astype(np.float64).round(_SCORE_DIGITS).tolist()
        labels = self._labels
        detections = tuple(
            Detection(labels[number], number, score, (box[0], box[1], box[2], box[3]))
            for number, score, box in zip(found.classes.tolist(), scores, boxes, strict=True)
        )
        return self._dress(detections, found, outputs, asked.placement) if self._dress else detections

    def memory(self) -> None:
        """Pictures leave nothing behind."""

    def _best(self, found: Candidates) -> Candidates:
        """Of several in one place one, and no more than are allowed, the best first."""
        settings = self._settings
        if settings.nms_iou is None:
            order = np.argsort(-found.scores, kind="stable")
        else:
            classes = found.classes if settings.class_aware else None
            order = self._suppress(found, classes, settings.nms_iou)
        return _only(found, order[: settings.max_detections])

    def _called(self, labels: frozenset[str] | None, found: Candidates) -> Candidates:
        """Those that bear one of these labels; None: all."""
        if labels is None:
            return found
        if labels not in self._wanted:
            self._wanted[labels] = np.array([label in labels for label in self._labels])
        return _only(found, self._wanted[labels][found.classes])


def _only(found: Candidates, keep: Array) -> Candidates:
    extras = None if found.extras is None else found.extras[keep]
    return Candidates(found.corners[keep], found.scores[keep], found.classes[keep], extras)


def from_centres(centres: Array, sizes: Array) -> Array:
    """(2, n) centres and (2, n) sizes to (n, 4) corners."""
    half = sizes * np.float32(0.5)
    sides = np.empty((4, half.shape[1]), np.result_type(centres, half))
    np.subtract(centres, half, out=sides[:2])
    np.add(centres, half, out=sides[2:])
    corners: Array = sides.T
    return corners
