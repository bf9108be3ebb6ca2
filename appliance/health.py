"""How the appliance is: one document, published every half minute and whenever it changes."""

from __future__ import annotations

import resource
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from appliance.feed import Feed, FeedFigures
from appliance.pipeline import Pipeline
from appliance.result import SCHEMA
from appliance.worker import Worker

State: TypeAlias = Literal["ok", "degraded", "failed"]


@dataclass(frozen=True, slots=True)
class PipelineFigures:
    """What health says of a pipeline."""

    enabled: bool
    engine: str
    reason: str
    results: int
    failed: int
    dropped: int
    """Samples that gave way to newer ones before the engine was free."""
    latency_ms: float | None
    """Of the last answer, from the grab to the result."""


@dataclass(frozen=True, slots=True)
class Health:
    """The document on `…/health`."""

    status: State
    """`ok`; `degraded`, something is missing and the rest works; `failed`, no pipeline can answer."""
    reasons: tuple[str, ...]
    """One sentence for everything that is not as configured."""
    uptime_s: float
    clock: str
    memory_mb: float
    sources: dict[str, FeedFigures]
    pipelines: dict[str, PipelineFigures]
    uplink: dict[str, Any]
    restart_required: tuple[str, ...]
    """Tables of the configuration that changed and need a restart."""
    schema: int = SCHEMA
    type: str = field(default="health")


def pipeline_figures(pipeline: Pipeline, worker: Worker) -> PipelineFigures:
    outcomes = pipeline.outcomes
    return PipelineFigures(
        enabled=pipeline.settings.enabled,
        engine=worker.engine,
        reason=worker.fault or pipeline.last_reason,
        results=outcomes.total() if hasattr(outcomes, "total") else sum(outcomes.values()),
        failed=outcomes["failed"],
        dropped=pipeline.mailbox.dropped,
        latency_ms=pipeline.last_latency_ms,
    )


def judge(
    sources: dict[str, FeedFigures], pipelines: dict[str, PipelineFigures], uplink: dict[str, Any]
) -> tuple[State, tuple[str, ...]]:
    """Status and reasons from the figures alone."""
    reasons = [f"{name}: {feed.reason}" for name, feed in sources.items() if feed.status in ("stale", "offline")]
    broken = [name for name, pipeline in pipelines.items() if pipeline.enabled and pipeline.engine == "none"]
    reasons += [f"{name}: {pipelines[name].reason}" for name in broken]
    if not uplink.get("connected", True):
        reasons.append(f"broker: {uplink.get('broker', 'not connected')}")
    enabled = [name for name, pipeline in pipelines.items() if pipeline.enabled]
    if enabled and len(broken) == len(enabled):
        return "failed", tuple(reasons)
    return ("degraded" if reasons else "ok"), tuple(reasons)


def memory_mb() -> float:
    """Resident memory of this process at its peak."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def feed_figures(feeds: dict[str, Feed], now_ns: int) -> dict[str, FeedFigures]:
    return {name: feed.figures(now_ns) for name, feed in feeds.items()}


def as_document(figures: Any) -> dict[str, Any]:
    """A dataclass of figures as plain values."""
    return asdict(figures)
