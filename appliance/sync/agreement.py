"""How far two models say the same about a sample."""

from __future__ import annotations

from collections.abc import Sequence

from engines.predictions import Answer, Detection, Label, Prediction

LEAST_OVERLAP = 0.5
"""Of two boxes of one label (intersection over union) that mean the same object."""


def agreement(one: Answer, other: Answer) -> float:
    """Share of what either says that both say, 0 to 1; two that say nothing agree."""
    if one.task != other.task:
        return 0.0
    mine, theirs = _told(one.predictions), _told(other.predictions)
    most = max(len(mine), len(theirs))
    if most == 0:
        return 1.0
    return _shared(mine, theirs) / most


def _told(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Of labels only the best: what a classifier says of a sample is its first word."""
    labels = [each for each in predictions if isinstance(each, Label)]
    if labels:
        return [max(labels, key=lambda label: label.score)]
    return list(predictions)


def _shared(mine: Sequence[Prediction], theirs: Sequence[Prediction]) -> int:
    left, shared = list(theirs), 0
    for each in mine:
        partner = next((other for other in left if _same(each, other)), None)
        if partner is not None:
            left.remove(partner)
            shared += 1
    return shared


def _same(one: Prediction, other: Prediction) -> bool:
    if one.label != other.label:
        return False
    if isinstance(one, Detection) and isinstance(other, Detection):
        return _overlap(one.box, other.box) >= LEAST_OVERLAP
    return True


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    if across <= 0 or down <= 0:
        return 0.0
    both = across * down
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / (sum(areas) - both)
