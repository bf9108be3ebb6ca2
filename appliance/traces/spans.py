"""Spans of a result and of a reply, from the times that were measured anyway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from appliance.questions.question import Refused, Reply
from appliance.result import Latency, Result
from appliance.traces.identity import Identity, of_sample

Kind: TypeAlias = Literal["internal", "server"]

STAGES = ("capture", "wait", "travel", "prepare", "infer", "decode")
"""In their order; of the travel to a service, the way back is told with the way there."""


@dataclass(frozen=True, slots=True)
class Span:
    """One, finished. Times are Unix nanoseconds."""

    name: str
    trace: int
    number: int
    parent: int | None
    start_ns: int
    end_ns: int
    kind: Kind = "internal"
    failed: str = ""
    """Why, when it did."""
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)


def identity(result: Result) -> Identity:
    return of_sample(result.device, result.pipeline, result.source, result.seq, result.captured_at)


def of_result(result: Result, now_ns: int) -> Iterator[Span]:
    """The whole, and a span for each stage. `now_ns`: for a result without times, which failed."""
    whose = identity(result)
    start_ns = _complete_ns(result)
    latency = result.latency_ms
    end_ns = max(start_ns, now_ns) if latency is None else start_ns + _ns(latency.total)
    attributes: dict[str, str | int | float] = {
        "appliance.pipeline": result.pipeline,
        "appliance.source": result.source,
        "appliance.seq": result.seq,
        "appliance.result": result.id,
        "appliance.status": result.status,
        "appliance.model": f"{result.model.name} {result.model.version}",
        "appliance.engine": result.engine,
        "appliance.answered_by": result.answered_by,
        "appliance.reason": result.reason,
    }
    failed = result.reason if result.status == "failed" else ""
    name = f"result {result.pipeline}"
    yield Span(name, whose.trace, whose.span, None, start_ns, end_ns, failed=failed, attributes=attributes)
    if latency is not None:
        yield from _stages(whose, start_ns, latency)


def _stages(whose: Identity, start_ns: int, latency: Latency) -> Iterator[Span]:
    for stage in STAGES:
        ms: float | None = getattr(latency, stage)
        if ms is not None:
            end_ns = start_ns + _ns(ms)
            yield Span(stage, whose.trace, whose.child(stage), whose.span, start_ns, end_ns)
            start_ns = end_ns


def of_publishing(result: Result, sent_ns: int) -> Span | None:
    """From the result until it was written to the connection; None for one without times."""
    if result.latency_ms is None:
        return None
    whose = identity(result)
    start_ns = _complete_ns(result) + _ns(result.latency_ms.total)
    return Span("publish", whose.trace, whose.child("publish"), whose.span, start_ns, max(start_ns, sent_ns))


def of_reply(whose: Identity, question: str, model: str, said: Reply | Refused, now_ns: int) -> Iterator[Span]:
    """What a service did for a question: a span under the device's, and one for the wait and one for the run."""
    number = whose.child(question)
    name = f"answer {model}"
    attributes: dict[str, str | int | float] = {"appliance.question": question, "appliance.model": model}
    if isinstance(said, Refused):
        yield Span(name, whose.trace, number, whose.span, now_ns, now_ns, "server", str(said), attributes)
        return
    ran_ns = now_ns - _ns(said.infer_ms)
    start_ns = ran_ns - _ns(said.queue_ms)
    attributes |= {"appliance.engine": said.engine, "appliance.service": said.service}
    yield Span(name, whose.trace, number, whose.span, start_ns, now_ns, "server", attributes=attributes)
    for stage, begin_ns, end_ns in (("wait", start_ns, ran_ns), ("infer", ran_ns, now_ns)):
        yield Span(stage, whose.trace, whose.child(f"{question}/{stage}"), number, begin_ns, end_ns)


def _complete_ns(result: Result) -> int:
    """When the sample was whole: a picture when it was grabbed, sound with its last sample. To a microsecond."""
    moment = datetime.fromisoformat(result.captured_at.replace("Z", "+00:00"))
    whole_ns = int(moment.replace(microsecond=0).timestamp()) * 1_000_000_000 + moment.microsecond * 1000
    return whole_ns + (0 if result.window is None else int(result.window.seconds * 1e9))


def _ns(ms: float) -> int:
    return int(ms * 1e6)
