"""What a model says about one sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Point: TypeAlias = tuple[float, float]
"""Across and down, in pixels of the picture that was given, inside it."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Which pixels an object covers."""

    polygons: tuple[tuple[Point, ...], ...]
    """Outlines of its parts, without holes, at least three points each; the largest first."""


@dataclass(frozen=True, slots=True)
class Keypoint:
    """A joint or another place of an object that has a number."""

    x: float
    y: float
    score: float
    """0 to 1: how sure it is that this place can be seen."""


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the parts of an object are."""

    points: tuple[Keypoint, ...]
    """In the order that the model was trained with, all of them every time; of COCO's people: nose, left eye, right
    eye, left ear, right ear, then shoulders, elbows, wrists, hips, knees and ankles, the left one first."""


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
    mask: Mask | None = None
    """From models that outline objects."""
    pose: Pose | None = None
    """From models that find parts of objects."""
    corners: tuple[Point, Point, Point, Point] | None = None
    """Of the box as it is turned, in order around it; may lie outside the picture. `box` is the upright one around
    it."""


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
