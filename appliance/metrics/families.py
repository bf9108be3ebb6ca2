"""Names, units and help of every number; a label's values come from the configuration or from a list in this code.

What comes from elsewhere (an error's words, the name of a service, a code of the broker) is never a label's value: any
number of them would make any number of series.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import accumulate
from typing import Any, get_args

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from appliance.harvest.harvester import HarvestFigures
from appliance.health import Health, PipelineFigures, State
from appliance.histogram import BOUNDS_S, Histogram
from appliance.info import PACKAGES, appliance_version, package_versions
from appliance.metrics.observed import Observed, cpu_s
from appliance.pipeline.feed import Availability, FeedFigures
from appliance.pipeline.pipeline import Pipeline
from appliance.pipeline.tally import Failure
from appliance.questions.question import CODES
from appliance.result import Status
from appliance.router import Cause, Place

PREFIX = "appliance"
OTHER = "other"
LOST_DOCUMENTS = ("disk full", "outbox full")
LOST_MESSAGES = (
    "not connected",
    "too many answers at once",
    "the line is slow",
    "lost on the way",
    "the broker ends the connection",
    "refused by the broker",
    "not sendable",
)
_LE = (*(str(bound) for bound in BOUNDS_S), "+Inf")


def of_the_appliance(now: Observed) -> Iterator[Metric]:
    """Who it is and how it is as a whole."""
    health = now.health
    yield InfoMetricFamily(f"{PREFIX}_build", "What runs here.", {"device": now.device, **_build()})
    yield _states("status", "1 for the one that health says.", [], {(): health.status}, get_args(State))
    yield _one("ready", "1 once the models were open or known not to work.", float(now.ready))
    yield _one("uptime_seconds", "Since the daemon was started.", health.uptime_s)
    yield _one("clock_synced", "1 while the wall clock is known to be right.", float(health.clock == "synced"))
    yield _one("complaints", "Reasons that health gives for not being ok.", len(health.reasons))
    yield _one("restart_required", "Tables of the configuration that wait for a restart.", len(health.restart_required))
    if health.temperature_c is not None:
        yield _one("temperature_celsius", "Of the hottest part.", health.temperature_c)
    if health.power is not None and health.power.watts is not None:
        yield _one("power_watts", "Mean of the last half minute.", health.power.watts)
    if now.joules is not None:
        yield _sum("energy_joules", "Drawn since the start.", now.joules)
    if now.traces is not None:
        yield _sum("spans_delivered", "Spans that the collector took.", now.traces.delivered)
        yield _sum("spans_lost", "Spans that it did not take.", now.traces.lost)
        yield _sum("traces_dropped", "Samples whose trace gave way, the collector being away.", now.traces.dropped)
    if now.viewers is not None:
        yield _one("page_viewers", "Who watch the live page.", now.viewers)


@cache
def _build() -> dict[str, str]:
    """Versions; reading them takes milliseconds."""
    installed = package_versions()
    packages = {name.replace("-", "_"): installed.get(name, "") for name in PACKAGES}
    return {"version": appliance_version(), "python": platform.python_version(), **packages}


def of_threads(now: Observed) -> Iterator[Metric]:
    """Whether they live, and what they cost."""
    alive = _gauge("thread_alive", "1 while the thread runs.", "thread")
    busy = _counter("thread_cpu_seconds", "CPU time of the thread.", "thread")
    for name, thread in sorted(now.threads.items()):
        alive.add_metric([name], float(thread.is_alive()))
        if (seconds := cpu_s(thread)) is not None:
            busy.add_metric([name], seconds)
    yield from (alive, busy)


def of_sources(sources: dict[str, FeedFigures]) -> Iterator[Metric]:
    states: dict[tuple[str, ...], str] = {(name,): each.status for name, each in sources.items()}
    yield _states("source_state", "1 for the one that holds.", ["source"], states, get_args(Availability))
    age = _gauge("source_age_seconds", "Age of the newest content.", "source")
    for name, each in sources.items():
        if each.age_s is not None:
            age.add_metric([name], each.age_s)
    yield age
    for name, words, field in (
        ("source_samples", "Pictures, or pieces of sound, that were delivered.", "samples"),
        ("source_reopened", "Times that it was opened again.", "reopened"),
        ("source_abandoned", "Capture threads that hung below Python.", "abandoned"),
    ):
        yield _each(_counter(name, words, "source"), sources, field)


def of_models(now: Observed) -> Iterator[Metric]:
    """A model that several pipelines share counts once."""
    ready = _gauge("model_ready", "1 while the model answers here; absent while nobody wants it.", "model")
    engine = _gauge("model_engine", "1: which engine runs it.", "model", "engine")
    runs = _counter("inferences", "Runs of the model.", "model")
    for name, worker in now.assembly.workers.items():
        if any(pipeline.settings.enabled for pipeline in worker.pipelines):
            ready.add_metric([name], float(worker.engine != "none"))
        engine.add_metric([name, worker.engine], 1)
        runs.add_metric([name], worker.inferences)
    yield from (ready, engine, runs)


def of_pipelines(now: Observed) -> Iterator[Metric]:
    pipelines = now.assembly.pipelines
    enabled = _gauge("pipeline_enabled", "1 while it is switched on.", "pipeline")
    waiting = _gauge("samples_waiting", "Samples in the mailbox before the model.", "pipeline")
    dropped = _counter("samples_dropped", "Samples that gave way to newer ones.", "pipeline")
    results = _counter("results", "Results by status.", "pipeline", "status")
    failures = _counter("failures", "Samples without an answer, by kind of reason.", "pipeline", "reason")
    answered = _counter("answers", "Valid answers, by who gave them.", "pipeline", "by")
    for name, pipeline in pipelines.items():
        enabled.add_metric([name], float(pipeline.settings.enabled))
        waiting.add_metric([name], len(pipeline.mailbox))
        dropped.add_metric([name], pipeline.mailbox.dropped)
        for status in get_args(Status):
            results.add_metric([name, status], pipeline.outcomes[status])
        for reason in get_args(Failure):
            failures.add_metric([name, reason], pipeline.tally.failures[reason])
        for side in ("local", "remote"):
            answered.add_metric([name, side], pipeline.tally.answered[side])
    yield from (enabled, waiting, dropped, results, failures, answered)
    yield from _times(pipelines)


def _times(pipelines: dict[str, Pipeline]) -> Iterator[Metric]:
    stages = _histogram("stage_seconds", "Where the time of a result goes, by stage.", "pipeline", "stage")
    total = _histogram("result_seconds", "From the grab, or the last sample of sound, to the result.", "pipeline")
    for name, pipeline in pipelines.items():
        for stage, histogram in pipeline.tally.stages.items():
            _fill(stages, [name, stage], histogram)
        _fill(total, [name], pipeline.tally.total)
    yield from (stages, total)


def of_routing(pipelines: dict[str, PipelineFigures], asker: dict[str, Any]) -> Iterator[Metric]:
    """Who is asked and why; nothing where no service may be."""
    routed = {name: each.remote for name, each in pipelines.items() if each.remote is not None}
    if not routed:
        return
    decisions = _counter("decisions", "Who was to answer a sample, and why.", "pipeline", "place", "cause")
    breaker = _gauge("breaker_open", "1 while the breaker keeps questions back.", "pipeline")
    for name, figures in routed.items():
        for place in get_args(Place):
            for cause in get_args(Cause):
                if count := figures.decisions.get(f"{place}: {cause}", 0):
                    decisions.add_metric([name, place, cause], count)
        breaker.add_metric([name], float(figures.breaker == "open"))
    yield from (decisions, breaker)
    for name, words, field in (
        ("questions_hedged", "Samples whose second choice was tried, the first took long.", "hedged"),
        ("answers_too_late", "Local answers after the deadline.", "late"),
    ):
        yield _each(_counter(name, words, "pipeline"), routed, field)
    for name, words, field in (
        ("questions_sent", "Questions given to the broker.", "sent"),
        ("questions_answered", "Questions with an answer in time.", "answered"),
        ("questions_expired", "Questions without one.", "expired"),
        ("answers_late", "Answers of services after the deadline.", "late"),
    ):
        yield _sum(name, words, asker.get(field, 0))
    refused = _counter("questions_refused", "Questions that a service refused, by code.", "code")
    yield _by_reason(refused, asker.get("reasons", {}), CODES)


def of_uplink(health: Health, live: Histogram | None, stored: Histogram | None) -> Iterator[Metric]:
    """The way to the broker; nothing without one."""
    uplink = health.uplink
    if not uplink:
        return
    for name, words, value in (
        ("broker_connected", "1 while there is a connection to the broker.", float(uplink["connected"])),
        ("uplink_alarms", "Complaints of the uplink that a person has to see to.", len(uplink["alarms"])),
        ("outbox_documents", "Documents that wait, or wait to be acknowledged.", uplink["stored"]),
        ("outbox_bytes", "Size of the outbox.", uplink["used_bytes"]),
        ("outbox_quota_bytes", "Its largest size.", uplink["quota_bytes"]),
        ("outbox_oldest_seconds", "Age of the oldest document that waits.", uplink["oldest_age_s"]),
        ("outbox_in_flight", "Messages that the broker has not answered.", uplink["in_flight"]),
        ("outbox_disk_full", "1 while the disk has no room.", float(uplink["disk_full"])),
        ("outbox_sync_p99_seconds", "Of the last durable commits.", uplink["sync_p99_ms"] / 1e3),
    ):
        yield _one(name, words, value)
    for name, words, value in (
        ("broker_connects", "Connections made to the broker.", uplink["connects"]),
        ("outbox_accepted", "Documents that became durable.", uplink["accepted"]),
        ("outbox_sent", "Documents that the receiver has.", uplink["sent"]),
        ("outbox_resent", "Documents sent again.", uplink["resent"]),
        ("outbox_dead", "Documents that no broker takes.", uplink["dead"]),
        ("messages_sent", "Messages that are not spooled.", uplink["posts_sent"]),
        ("handed_over_dropped", "Gave way in a burst before they were accepted.", uplink["intake_dropped"]),
        ("commands_dropped", "Incoming messages that gave way.", uplink["incoming_dropped"]),
    ):
        yield _sum(name, words, value)
    lost = _counter("outbox_dropped", "Documents that were lost and are declared in gaps, by reason.", "reason")
    yield _by_reason(lost, uplink["dropped_by_reason"], LOST_DOCUMENTS)
    messages = _counter("messages_dropped", "Messages that did not go out, by reason.", "reason")
    yield _by_reason(messages, uplink["posts_dropped"], LOST_MESSAGES)
    publish = _histogram("publish_seconds", "From the result to the connection, or to the disk.", "kind")
    for kind, histogram in (("live", live), ("stored", stored)):
        if histogram is not None:
            _fill(publish, [kind], histogram)
    yield publish


def of_harvest(harvest: HarvestFigures | None) -> Iterator[Metric]:
    """Samples for a model to learn from; nothing where none are kept."""
    if harvest is None:
        return
    for name, words, field in (
        ("harvest_kept", "Samples that were kept.", "kept"),
        ("harvest_passed_over", "Samples that there was a reason to keep, and no room or no right.", "passed_over"),
        ("harvest_lost", "Samples that the disk did not take.", "lost"),
    ):
        yield _each(_counter(name, words, "pipeline"), harvest.pipelines, field)
    for name, words, field in (
        ("harvest_waiting", "Samples on the disk.", "waiting"),
        ("harvest_bytes", "Their size.", "bytes"),
        ("harvest_spent_bytes", "Of the budget of this day.", "spent_bytes"),
        ("harvest_budget_bytes", "Budget of a day.", "budget_bytes"),
    ):
        yield _each(_gauge(name, words, "pipeline"), harvest.pipelines, field)
    if harvest.sending is not None:
        yield _sum("harvest_sent", "Samples that a model service has stored.", harvest.sending.sent)
        yield _sum("harvest_refused", "Samples that no model service takes: deleted.", harvest.sending.refused)


# -- making families --------------------------------------------------------------------------------------------------


def _gauge(name: str, words: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", words, labels=labels)


def _counter(name: str, words: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", words, labels=labels)


def _histogram(name: str, words: str, *labels: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"{PREFIX}_{name}", words, labels=labels)


def _one(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", words, value)


def _sum(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", words, value)


def _each(family: CounterMetricFamily | GaugeMetricFamily, figures: dict[str, Any], field: str) -> Metric:
    for name, each in figures.items():
        family.add_metric([name], getattr(each, field))
    return family


def _by_reason(family: CounterMetricFamily, counts: dict[str, int], known: Iterable[str]) -> Metric:
    """Those that are not known add up under one name."""
    known = tuple(known)
    for reason in known:
        family.add_metric([reason], counts.get(reason, 0))
    family.add_metric([OTHER], sum(count for reason, count in counts.items() if reason not in known))
    return family


def _states(
    name: str, words: str, labels: list[str], states: dict[tuple[str, ...], str], known: Iterable[str]
) -> GaugeMetricFamily:
    """A series for each state there is, of which one is 1."""
    known = tuple(known)
    family = _gauge(name, words, *labels, "state")
    for values, state in states.items():
        for each in known:
            family.add_metric([*values, each], float(each == state))
    return family


def _fill(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    up_to = accumulate(histogram.counts)
    family.add_metric(labels, list(zip(_LE, up_to, strict=True)), histogram.sum_s)
