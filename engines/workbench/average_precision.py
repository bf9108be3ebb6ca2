"""Mean average precision of boxes, as COCO computes it.

The definition is that of the COCO detection evaluation (cocodataset.org, "Detection evaluation"): detections of a class
are taken in the order of their scores, over all pictures; each is right when it overlaps a true box of its class, not
yet found by a better one, by at least the given share; precision, made never to rise with recall, is read at 101 levels
of recall and averaged. mAP50-95 is the mean over the shares 0.50, 0.55 … 0.95, and over the classes that occur.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engines.engine import Array
from engines.predictions import Detection
from engines.workbench.labelled import Box
from engines.workbench.overlap import boxes_of, inside, overlaps

SHARES = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MOST_PER_PICTURE = 100


@dataclass(frozen=True, slots=True)
class Truth:
    """One true box, in pixels."""

    label: str
    box: Box
    crowd: bool = False


@dataclass(frozen=True, slots=True)
class Precision:
    """Average precisions, 0 to 1."""

    by_class: dict[str, tuple[float, float]]
    """mAP50 and mAP50-95 of each class that occurs in the truth."""

    @property
    def map50(self) -> float:
        return float(np.mean([each[0] for each in self.by_class.values()])) if self.by_class else 0.0

    @property
    def map50_95(self) -> float:
        return float(np.mean([each[1] for each in self.by_class.values()])) if self.by_class else 0.0


def average_precision(pictures: Sequence[tuple[Sequence[Truth], Sequence[Detection]]]) -> Precision:
    """Of what is true and what was found in every picture."""
    labels = sorted({truth.label for truths, _ in pictures for truth in truths if not truth.crowd})
    return Precision({label: _of_class(label, pictures) for label in labels})


def _of_class(label: str, pictures: Sequence[tuple[Sequence[Truth], Sequence[Detection]]]) -> tuple[float, float]:
    scores: list[Array] = []
    rights: list[Array] = []
    ignored: list[Array] = []
    count = 0
    for truths, detections in pictures:
        true = [each for each in truths if each.label == label]
        # The best of the picture of each class: the limit is COCO's, per class.
        found = sorted((each for each in detections if each.label == label), key=lambda each: -each.score)
        found = found[:MOST_PER_PICTURE]
        count += sum(not each.crowd for each in true)
        right, ignore = _matches(true, found)
        scores.append(np.array([each.score for each in found]))
        rights.append(right)
        ignored.append(ignore)
    order = np.argsort(-np.concatenate(scores), kind="mergesort")
    right = np.concatenate(rights, axis=1)[:, order]
    ignore = np.concatenate(ignored, axis=1)[:, order]
    values = [_area(right[level][~ignore[level]], count) for level in range(len(SHARES))]
    return values[0], float(np.mean(values))


def _matches(truths: Sequence[Truth], found: Sequence[Detection]) -> tuple[Array, Array]:
    """(shares, found): whether each is right, and whether it does not count because it lies in a crowd."""
    right = np.zeros((len(SHARES), len(found)), bool)
    ignore = np.zeros_like(right)
    if not truths or not found:
        return right, ignore
    truths = sorted(truths, key=lambda each: each.crowd)
    boxes, true = boxes_of(found), np.array([each.box for each in truths], np.float64)
    shared = overlaps(boxes, true)
    for number, each in enumerate(truths):
        if each.crowd:  # of a crowd, only how much of the found box lies in it
            shared[:, number] = inside(boxes, true[number])
    for level, share in enumerate(SHARES):
        free = np.ones(len(truths), bool)
        for number in range(len(found)):
            best, least = -1, min(share, 1 - 1e-10)
            for other, truth in enumerate(truths):
                if not free[other] and not truth.crowd:
                    continue
                if best >= 0 and not truths[best].crowd and truth.crowd:
                    break
                if shared[number, other] >= least:
                    best, least = other, shared[number, other]
            if best >= 0:
                free[best] = False
                right[level, number] = not truths[best].crowd
                ignore[level, number] = truths[best].crowd
    return right, ignore


def _area(right: Array, count: int) -> float:
    """Under the curve of precision over recall."""
    if not len(right):
        return 0.0
    hits = np.cumsum(right)
    recall = hits / count
    precision = hits / np.arange(1, len(right) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS, side="left")
    return float(np.where(at < len(precision), precision[np.minimum(at, len(precision) - 1)], 0).mean())
