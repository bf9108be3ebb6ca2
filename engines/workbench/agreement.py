"""How far two models say the same of the same samples."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from engines.engine import Array, EngineError
from engines.manifest import AudioInput, Manifest
from engines.model import Model
from engines.predictions import Answer, Detection, Label, Prediction
from engines.stream import Stream
from engines.workbench.overlap import boxes_of, dress_overlap, overlaps
from engines.workbench.work import Tell, WorkbenchError, silent

SAME_PLACE = 0.5
"""Two boxes that overlap by this share, and so do their masks, points and turned corners, show the same object."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """Of what two models say of one sample."""

    same: int
    """Answers of the first that the second gives too: the same label and, of boxes, the same place."""
    first: int
    second: int
    """Answers of each."""
    score_difference: float
    """The largest among the same answers."""
    overlap: float
    """The least among the same boxes, with what belongs to them; 1 where there is none."""

    @property
    def share(self) -> float:
        """1 when both say exactly the same, 0 when nothing is common: 2 same / (first + second)."""
        return 2 * self.same / (self.first + self.second) if self.first + self.second else 1.0


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of what two models say of many samples."""

    samples: tuple[Likeness, ...]
    first_ms: float
    second_ms: float
    """Medians of a whole answer."""

    @property
    def share(self) -> float:
        """0 to 1: of all answers of both, those that have their like; F1 of one model with the other as the truth."""
        total = sum(each.first + each.second for each in self.samples)
        return 2 * sum(each.same for each in self.samples) / total if total else 1.0

    @property
    def answers(self) -> int:
        """Of the first model, to all samples."""
        return sum(each.first for each in self.samples)

    @property
    def score_difference(self) -> float:
        """The mean over the samples of the largest difference of the score of the same answer."""
        return float(np.mean([each.score_difference for each in self.samples]))

    @property
    def least_like(self) -> list[int]:
        """Numbers of the samples, those the models differ most about first."""

        def alike(number: int) -> tuple[float, float]:
            return self.samples[number].share, -self.samples[number].score_difference

        return sorted(range(len(self.samples)), key=alike)


def check_same_windows(first: Manifest, second: Manifest) -> None:
    """Raises WorkbenchError where windows of sound that are cut for one model are none for the other."""
    one, other = first.input, second.input
    if not (isinstance(one, AudioInput) and isinstance(other, AudioInput)):
        return
    if (one.rate_hz, one.samples) != (other.rate_hz, other.samples):
        told = " and ".join(
            f"{of.name} {of.version} hears {spec.samples} samples at {spec.rate_hz} Hz"
            for of, spec in ((first, one), (second, other))
        )
        raise WorkbenchError(f"{told}: give two models of the same windows, or `evaluate` each on labelled sounds")


def compare(first: Model, second: Model, samples: Iterable[Array], tell: Tell = silent) -> Agreement:
    """Ask two open models the same; sound is one stream. Raises WorkbenchError when they cannot be compared."""
    if first.manifest.input.kind != second.manifest.input.kind:
        raise WorkbenchError(f"{first.manifest.name} and {second.manifest.name} do not take the same kind of sample")
    check_same_windows(first.manifest, second.manifest)
    if set(first.manifest.labels) != set(second.manifest.labels):
        ours, theirs = set(first.manifest.labels), set(second.manifest.labels)
        odd = ", ".join(sorted(ours ^ theirs)[:5])
        raise WorkbenchError(f"the two models do not have the same labels: only one of them knows {odd}")
    streams = first.new_stream(), second.new_stream()
    found: list[Likeness] = []
    times: tuple[list[float], list[float]] = ([], [])
    for number, sample in enumerate(samples):
        tell("comparing", number, 0)
        said = [_ask(*each, sample) for each in zip((first, second), streams, times, strict=True)]
        found.append(likeness(said[0], said[1]))
    if not found:
        raise WorkbenchError("no sample was given: name a recording, a folder or a source")
    return Agreement(tuple(found), float(np.median(times[0])), float(np.median(times[1])))


def _ask(model: Model, stream: Stream, times: list[float], sample: Array) -> tuple[Prediction, ...]:
    start = time.perf_counter()
    answer: Answer | EngineError = model.predict([sample], streams=[stream])[0]
    times.append((time.perf_counter() - start) * 1e3)
    if isinstance(answer, EngineError):
        raise answer
    return answer.predictions


def likeness(said: Sequence[Prediction], also: Sequence[Prediction]) -> Likeness:
    """Of two answers to one sample. Of labels only the best counts: the rest is noise near the threshold."""
    boxes, others = ([each for each in group if isinstance(each, Detection)] for group in (said, also))
    if boxes or others:
        return _boxes_alike(boxes, others)
    one, other = (max((e for e in group if isinstance(e, Label)), key=_score, default=None) for group in (said, also))
    if one is None or other is None:
        return Likeness(0, int(one is not None), int(other is not None), 0.0, 1.0)
    same = one.label == other.label
    return Likeness(int(same), 1, 1, abs(one.score - other.score) if same else 0.0, 1.0)


def _score(label: Label) -> float:
    return label.score


def _boxes_alike(boxes: Sequence[Detection], others: Sequence[Detection]) -> Likeness:
    shared = overlaps(boxes_of(boxes), boxes_of(others))
    for one, other in np.argwhere(shared >= SAME_PLACE).tolist():
        shared[one, other] = min(shared[one, other], dress_overlap(boxes[one], others[other]))
    left, right = set(range(len(boxes))), set(range(len(others)))
    differences, least = [0.0], 1.0
    for one, other in sorted(np.argwhere(shared >= SAME_PLACE).tolist(), key=lambda pair: -shared[pair[0], pair[1]]):
        if one in left and other in right and boxes[one].label == others[other].label:
            left.remove(one)
            right.remove(other)
            differences.append(abs(boxes[one].score - others[other].score))
            least = min(least, float(shared[one, other]))
    return Likeness(len(boxes) - len(left), len(boxes), len(others), max(differences), least)
