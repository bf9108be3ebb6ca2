"""From a sample and what the model said of it to the document that is published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ulid import ULID

from appliance.result import Clock, FrameSize, Latency, ModelId, Result, WindowPlace, utc
from capture.samples import Frame, Sample
from engines.engine import EngineError
from engines.predictions import Answer, Detection, Label, Segment


@dataclass(frozen=True, slots=True)
class Served:
    """What is known of the run that answered. Times are monotonic nanoseconds."""

    taken_ns: int
    """When the sample left its mailbox."""
    done_ns: int
    engine: str
    model: ModelId
    reason: str


def compose(
    device: str, pipeline: str, sample: Sample, answer: Answer | EngineError, served: Served, clock: Clock
) -> Result:
    """The result of one sample; an EngineError makes it `failed`, without any predictions."""
    picture, window = _place(sample)
    valid = None if isinstance(answer, EngineError) else answer
    detections, labels, segments = _said(valid)
    return Result(
        id=str(ULID()),
        device=device,
        pipeline=pipeline,
        source=sample.source,
        seq=sample.seq,
        status="failed" if valid is None else "ok",
        captured_at=utc(sample.stamp.unix_ns),
        clock=clock,
        model=served.model,
        answered_by="local",
        engine=served.engine,
        reason=str(answer) if valid is None else served.reason,
        latency_ms=None if valid is None else _latency(sample, valid, served),
        frame=picture,
        window=window,
        detections=detections,
        labels=labels,
        segments=segments,
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


def _latency(sample: Sample, answer: Answer, served: Served) -> Latency:
    return Latency(
        capture=_ms(sample.ready_ns - sample.complete_ns),
        wait=_ms(served.taken_ns - sample.ready_ns),
        prepare=round(answer.times.prepare_ms, 3),
        infer=round(answer.times.infer_ms, 3),
        decode=round(answer.times.decode_ms, 3),
        total=_ms(served.done_ns - sample.complete_ns),
    )


def _ms(ns: int) -> float:
    return round(ns / 1e6, 3)
