"""May this plan serve? Only when it sees what ONNX Runtime sees with the network as it was given.

A plan in half precision that finds nothing at all looks like an empty scene; nobody would notice for weeks. So both its
numbers and what they mean are compared before it is used, and what they differ by is kept with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engines.chain import Outputs
from engines.decode import Asked, Decoder, make_decoder
from engines.engine import Array, EngineError, TensorSpec
from engines.manifest import AudioInput, Manifest
from engines.placement import Placement
from engines.predictions import Detection, Label, Prediction
from engines.stream import Stream

Answers = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a plan may be off."""

    numbers: float
    """Root mean square of the difference of an output, as a share of that of the output itself."""
    box_px: float
    """Any side of a box, in pixels of the network's input."""
    score: float
    agreement: float
    """Least share of predictions that both make."""


TOLERANCES = {
    # Tensor cores round the factors of float32 to 10 bits, as half precision does, but keep its range.
    "fp32": Tolerance(numbers=0.01, box_px=1.0, score=0.02, agreement=0.98),
    "fp16": Tolerance(numbers=0.03, box_px=1.0, score=0.05, agreement=0.95),
    "int8": Tolerance(numbers=0.25, box_px=8.0, score=0.15, agreement=0.85),
}

_LEAST_SCORE = 0.05
_ENOUGH = 5
"""Predictions worth comparing; where the model's own threshold lets fewer through, it is lowered."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison came to."""

    admitted: bool
    words: str
    """How far it is off, or why it is refused."""


def compare(
    manifest: Manifest | None,
    outputs: Sequence[TensorSpec],
    expected: Sequence[Answers],
    found: Sequence[Answers],
    precision: str,
) -> Verdict:
    """`expected` and `found`: the outputs for the same samples, one each, by ONNX Runtime and by the plan."""
    tolerance = TOLERANCES[precision]
    worst = 0.0
    for want, have in zip(expected, found, strict=True):
        for name, wanted in want.items():
            if have[name].shape != wanted.shape:
                return Verdict(False, f"output {name} has shape {have[name].shape}, expected {wanted.shape}")
            if wanted.dtype.kind == "f" and not np.isfinite(have[name]).all() and np.isfinite(wanted).all():
                return Verdict(False, f"output {name} holds NaN or infinity")
            worst = max(worst, _distance(wanted, have[name]))
    if worst > tolerance.numbers:
        return Verdict(False, f"its numbers are off by {worst:.1%}, {tolerance.numbers:.0%} is allowed")
    words = f"numbers within {worst:.2%}"
    if manifest is None or manifest.task == "vad":
        return Verdict(True, words)
    return _by_meaning(manifest, outputs, expected, found, tolerance, words)


def _distance(wanted: Array, have: Array) -> float:
    """As a share of the size of what is wanted; of whole numbers, the share that differs."""
    if wanted.dtype.kind != "f":
        return float(np.mean(wanted != have))
    difference = have.astype(np.float64) - wanted
    size = float(np.sqrt(np.mean(np.square(wanted, dtype=np.float64))))
    return float(np.sqrt(np.mean(difference**2))) / max(size, 1e-6)


def _by_meaning(
    manifest: Manifest,
    outputs: Sequence[TensorSpec],
    expected: Sequence[Answers],
    found: Sequence[Answers],
    tolerance: Tolerance,
    words: str,
) -> Verdict:
    """Decode both and look for every prediction of one among those of the other."""
    try:
        decoder = make_decoder(manifest, outputs)
        read = _reader(manifest, decoder)
        threshold = _threshold(manifest, [read(each, _LEAST_SCORE) for each in expected])
        pairs = [(read(a, threshold), read(b, threshold)) for a, b in zip(expected, found, strict=True)]
    except EngineError as error:
        return Verdict(False, f"its outputs cannot be read: {error}")
    both = [_agreeing(a, b, threshold, tolerance) for a, b in pairs]
    asked, agreed = sum(total for total, _, _ in both), sum(same for _, same, _ in both)
    if asked == 0:
        return Verdict(True, f"{words}; nothing was seen by either")
    off = max(distance for _, _, distance in both)
    words += f", {agreed} of {asked} predictions alike, boxes within {off:.2f} px"
    return Verdict(agreed / asked >= tolerance.agreement, words)


def _reader(manifest: Manifest, decoder: Decoder) -> Callable[[Answers, float], tuple[Prediction, ...]]:
    spec = manifest.input
    place = None if isinstance(spec, AudioInput) else Placement(spec.width, spec.height, spec.width, spec.height, 0, 0)
    heard = (0, spec.samples) if isinstance(spec, AudioInput) else (0, 0)

    def read(answers: Answers, threshold: float) -> tuple[Prediction, ...]:
        asked = Asked(threshold, None, Stream(spec, decoder.memory()), place, heard)
        return decoder.decode(Outputs(answers, decoder.shapes, 1).row(0), asked)

    return read


def _threshold(manifest: Manifest, seen: Sequence[Sequence[Prediction]]) -> float:
    """The model's own, or lower, so that there is something to compare."""
    scores = sorted((each.score for one in seen for each in one if isinstance(each, Detection | Label)), reverse=True)
    enough = scores[min(_ENOUGH, len(scores)) - 1] if scores else 1.0
    return max(_LEAST_SCORE, min(manifest.decoder.threshold, enough))


def _agreeing(
    expected: Sequence[Prediction], found: Sequence[Prediction], threshold: float, tolerance: Tolerance
) -> tuple[int, int, float]:
    """How many predictions there are, how many have a partner, and the largest distance of partners.

    A prediction close to the threshold may be missing on one side.
    """
    asked = agreed = 0
    worst = 0.0
    for ours, theirs in ((expected, found), (found, expected)):
        for one in ours:
            if not isinstance(one, Detection | Label):
                continue
            distances = [_apart(one, other, tolerance) for other in theirs]
            near = min((each for each in distances if each is not None), default=None)
            if near is None and one.score < threshold + tolerance.score:
                continue
            asked += 1
            if near is not None:
                agreed += 1
                worst = max(worst, near)
    return asked, agreed, worst


def _apart(one: Detection | Label, other: Prediction, tolerance: Tolerance) -> float | None:
    """Pixels between two predictions of the same thing; None when they are not."""
    if not isinstance(other, type(one)) or one.label != other.label or abs(one.score - other.score) > tolerance.score:
        return None
    if not isinstance(one, Detection) or not isinstance(other, Detection):
        return 0.0
    distance = max(abs(a - b) for a, b in zip(one.box, other.box, strict=True))
    return distance if distance <= tolerance.box_px else None
