"""How the appliance is: one document, published every half minute and whenever it changes."""

from __future__ import annotations

import resource
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from appliance.harvest.harvester import HarvestFigures
from appliance.pipeline.feed import NOT_OPENED, Feed, FeedFigures
from appliance.pipeline.pipeline import Pipeline
from appliance.pipeline.worker import LOADING, Worker
from appliance.power import PowerFigures
from appliance.recorder.deck import DeckFigures
from appliance.remote.figures import RoutedFigures
from appliance.result import SCHEMA

State: TypeAlias = Literal["ok", "degraded", "failed"]

SHOWN_ALARMS = 3
"""A broker that forbids one topic often forbids them all."""


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
    latency_ms: float | None = None
    """Of the last answer, from the grab to the result; absent before the first."""
    complaints: tuple[str, ...] = ()
    """What its configuration asks for and cannot get, although it answers."""
    remote: RoutedFigures | None = None
    """Who answers, and why; absent where no service may be asked."""


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
    plans: dict[str, str] = field(default_factory=dict)
    """Name of a model: how its plan for the GPU is: being built, refused, or how far it is from ONNX Runtime."""
    power: PowerFigures | None = None
    temperature_c: float | None = None
    """Of the hottest part; absent where nothing tells it."""
    remote: dict[str, Any] = field(default_factory=dict)
    """Questions to the model services; empty where none may be asked."""
    recorder: dict[str, DeckFigures] = field(default_factory=dict)
    """Clips of every pipeline that keeps some."""
    harvest: HarvestFigures | None = None
    """Samples for a model to learn from; absent where none are kept."""
    models: dict[str, str] = field(default_factory=dict)
    """Name of a model that comes from a registry: how its newest version is, in words."""
    schema: int = SCHEMA
    type: str = field(default="health")


def pipeline_figures(pipeline: Pipeline, worker: Worker, remote: RoutedFigures | None = None) -> PipelineFigures:
    outcomes = pipeline.outcomes
    return PipelineFigures(
        enabled=pipeline.settings.enabled,
        engine="none" if pipeline.misfit else worker.engine,
        reason=pipeline.misfit or worker.fault or pipeline.last_reason,
        results=outcomes.total() if hasattr(outcomes, "total") else sum(outcomes.values()),
        failed=outcomes["failed"],
        dropped=pipeline.mailbox.dropped,
        latency_ms=pipeline.last_latency_ms,
        complaints=pipeline.complaints,
        remote=remote,
    )


def judge(
    sources: dict[str, FeedFigures],
    pipelines: dict[str, PipelineFigures],
    uplink: dict[str, Any],
    starting: bool = False,
    complaints: tuple[str, ...] = (),
) -> tuple[State, tuple[str, ...]]:
    """Status and reasons from the figures alone; `starting`: what was not tried yet may still be on its
    way. `complaints`: of others, as sentences."""
    away = {name: feed for name, feed in sources.items() if feed.status in ("stale", "offline")}
    reasons = [f"{name}: {feed.reason}" for name, feed in away.items() if not (starting and feed.reason == NOT_OPENED)]
    broken = [name for name, pipeline in pipelines.items() if pipeline.enabled and not answers(pipeline)]
    reasons += [f"{name}: {pipelines[name].reason}" for name in broken]
    enabled = [name for name, pipeline in pipelines.items() if pipeline.enabled]
    reasons += [f"{name}: {words}" for name in enabled for words in pipelines[name].complaints]
    if not starting:
        reasons += [f"{name}: {words}" for name in enabled for words in _remote_reasons(pipelines[name])]
    connecting = starting and uplink.get("connects") == 0
    reasons += _uplink_reasons(uplink, connecting)
    reasons += complaints
    loading = [name for name in broken if pipelines[name].reason == LOADING]
    if enabled and len(broken) == len(enabled) and not loading:
        return "failed", tuple(reasons)
    return ("degraded" if reasons else "ok"), tuple(reasons)


def answers(pipeline: PipelineFigures) -> bool:
    """Whether there is somebody to answer its samples."""
    return pipeline.engine != "none" or (pipeline.remote is not None and pipeline.remote.side == "remote")


def _remote_reasons(pipeline: PipelineFigures) -> tuple[str, ...]:
    return () if pipeline.remote is None else pipeline.remote.reasons


def _uplink_reasons(uplink: dict[str, Any], connecting: bool) -> list[str]:
    """Alarms are sentences that name what they speak of: a topic, the outbox."""
    reasons = []
    if not connecting and not uplink.get("connected", True):
        reasons.append(f"broker: {uplink.get('broker', 'not connected')}")
    alarms = uplink.get("alarms", ())
    reasons += alarms[:SHOWN_ALARMS]
    if len(alarms) > SHOWN_ALARMS:
        reasons.append(f"uplink: {len(alarms) - SHOWN_ALARMS} more such complaints; see uplink.alarms")
    if uplink.get("disk_full"):
        reasons.append("outbox: the disk is full: make room, or the oldest of the lowest priority are given up")
    return reasons


def memory_mb() -> float:
    """Resident memory of this process at its peak."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def feed_figures(feeds: dict[str, Feed], now_ns: int) -> dict[str, FeedFigures]:
    return {name: feed.figures(now_ns) for name, feed in feeds.items()}


def as_document(figures: Any) -> dict[str, Any]:
    """A dataclass of figures as plain values."""
    return asdict(figures)
