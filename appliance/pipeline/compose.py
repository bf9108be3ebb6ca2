"""From a sample and what the model said of it to the document that is published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ulid import ULID

from appliance.result import Clock, FrameSize, Latency, ModelId, Result, Status, WindowPlace, utc
from capture.samples import Frame, Sample, Stamp
from engines.engine import EngineError
from engines.predictions import Answer, Detection, Label, Segment


class TimedOut(EngineError):
    """The run took longer than its pipeline allows, and was called off."""


@dataclass(frozen=True, slots=True)
class Served:
    """What is known of the run that answered. Times are monotonic nanoseconds."""

    taken_ns: int
    """When the sample left its mailbox."""
    done_ns: int
    engine: str
    model: ModelId
    reason: str
    answered_by: str = "local"
    status: Status = "ok"
    """Of an answer; without one the result is `failed` anyway."""
    queue_ms: float = 0.0
    """What it waited at a model service."""
    late: bool = False
    """It had been said to have failed before."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a result says of its sample: all that is left of it once its pixels are gone."""

    source: str
    seq: int
    stamp: Stamp
    complete_ns: int
    ready_ns: int
    frame: FrameSize | None
    window: WindowPlace | None

    @classmethod
    def of(cls, sample: Sample) -> Seen:
        frame, window = _place(sample)
        return cls(sample.source, sample.seq, sample.stamp, sample.complete_ns, sample.ready_ns, frame, window)


def compose(
    device: str, pipeline: str, sample: Sample | Seen, answer: Answer | EngineError, served: Served, clock: Clock
) -> Result:
    """The result of one sample; an EngineError makes it `failed`, without any predictions."""
    seen = sample if isinstance(sample, Seen) else Seen.of(sample)
    valid = None if isinstance(answer, EngineError) else answer
    detections, labels, segments = _said(valid)
    return Result(
        id=str(ULID()),
        device=device,
        pipeline=pipeline,
        source=seen.source,
        seq=seen.seq,
        status="failed" if valid is None else served.status,
        captured_at=utc(seen.stamp.unix_ns),
        clock=clock,
        model=served.model,
        answered_by=served.answered_by,
        engine=served.engine,
        reason=str(answer) if valid is None else served.reason,
        latency_ms=None if valid is None else _latency(seen, valid, served),
        frame=seen.frame,
        window=seen.window,
        detections=detections,
        labels=labels,
        segments=segments,
        late=True if served.late else None,
    )


Said: TypeAlias = "tuple[tuple[Detection, ...] | None, tuple[Label, ...] | None, tuple[Segment, ...] | None]"


def _said(answer: Answer | None) -> Said:
    """What belongs under `detections`, `labels` and `segments`."""
    if answer is None:
        return None, None, None
    said = answer.predictions
    if answer.task == "detect":
        return tuple(p for p in said if isinstance(p, Detection)), None, None
    labels = tuple(p for p in said if isinstance(p, Label))
    return None, labels, tuple(p for p in said if isinstance(p, Segment)) or None


def _place(sample: Sample) -> tuple[FrameSize | None, WindowPlace | None]:
    if isinstance(sample, Frame):
        height, width = sample.pixels.shape[:2]
        return FrameSize(width, height), None
    return None, WindowPlace(
        start_s=round(sample.start / sample.rate_hz, 4),
        seconds=round(len(sample.samples) / sample.rate_hz, 4),
        rate_hz=sample.rate_hz,
        gap=sample.gap,
    )


def _latency(sample: Seen, answer: Answer, served: Served) -> Latency:
    times = answer.times
    away_ms = (served.done_ns - served.taken_ns) / 1e6
    travel_ms = away_ms - served.queue_ms - times.prepare_ms - times.infer_ms - times.decode_ms
    return Latency(
        capture=_ms(sample.ready_ns - sample.complete_ns),
        wait=round((served.taken_ns - sample.ready_ns) / 1e6 + served.queue_ms, 3),
        prepare=round(answer.times.prepare_ms, 3),
        infer=round(answer.times.infer_ms, 3),
        decode=round(answer.times.decode_ms, 3),
        total=_ms(served.done_ns - sample.complete_ns),
        travel=None if served.answered_by == "local" else round(max(0.0, travel_ms), 3),
    )


def _ms(ns: int) -> float:
    return round(ns / 1e6, 3)
