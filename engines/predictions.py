"""What a model says about one sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Detection:
    """One object in a picture."""

    label: str
    class_id: int
    score: float
    """0 to 1."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the picture that was given, inside it."""
    track: int | None = None
    """Number of the object while it is followed; set by the tracker, None before."""


@dataclass(frozen=True, slots=True)
class Label:
    """One thing that the whole sample shows or sounds like."""

    label: str
    class_id: int
    score: float
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished stretch of a stream, such as one utterance."""

    label: str
    start_s: float
    """Seconds of the stream before it began."""
    end_s: float


Prediction: TypeAlias = Detection | Label | Segment


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Milliseconds spent on one sample; a batch is shared out evenly."""

    prepare_ms: float
    infer_ms: float
    decode_ms: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A valid answer; `predictions` is empty when there is truly nothing there.

    A failed inference is never an Answer: it is an EngineError.
    """

    task: str
    """`detect`, `classify`, `audio-labels` or `vad`."""
    predictions: tuple[Prediction, ...]
    times: StageTimes
