"""What a service does, for Prometheus: its text format, from the figures of its room and of its connection.

Names and units follow Prometheus: base units, `_total` for what only grows. docs/deploy has a dashboard and alerts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from appliance.oip.attention import AttentionFigures
    from appliance.service.door import DoorFigures
    from appliance.service.figures import Sum
    from appliance.service.intake import IntakeFigures
    from appliance.service.room import Room

CONTENT_TYPE = CONTENT_TYPE_LATEST
PREFIX = "appliance_service"


def exposition(
    room: Room,
    intake: IntakeFigures | None = None,
    door: DoorFigures | None = None,
    attention: Mapping[str, AttentionFigures] | None = None,
) -> bytes:
    """The body of `/metrics`, of the type CONTENT_TYPE. `intake`, `door`: of a service on a broker; `attention`: by
    transport of the Open Inference Protocol. Nobody who asks has a label: there is no end of them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Reading(room, intake, door, attention or {}))
    return generate_latest(registry)


class _Reading(Collector):
    """The figures at one moment."""

    def __init__(
        self,
        room: Room,
        intake: IntakeFigures | None,
        door: DoorFigures | None,
        attention: Mapping[str, AttentionFigures],
    ) -> None:
        self._models = room.models()
        self._busy_ns = room.busy_ns()
        self._intake = intake
        self._door = door
        self._attention = attention

    def collect(self) -> Iterable[Metric]:
        yield from self._now()
        yield from self._ever()
        if self._intake is not None:
            yield from _of_intake(self._intake)
        if self._door is not None:
            yield from _of_door(self._door)
        if self._attention:
            yield from _of_attention(self._attention)

    def _now(self) -> Iterator[Metric]:
        ready = _gauge("model_ready", "1 while the model answers.", "engine")
        waiting = _gauge("questions_waiting", "Questions that have come and are not begun.")
        wait = _gauge("queue_wait_expected_seconds", "What a question that comes now is expected to wait.")
        pace = _gauge(
            "question_seconds_recent", "What one question has taken lately, without the wait; 0 when unknown."
        )
        for model in self._models:
            ready.add_metric([model.name, model.engine], float(model.ready))
            waiting.add_metric([model.name], model.waiting)
            wait.add_metric([model.name], model.queue_ms / 1e3)
            pace.add_metric([model.name], model.infer_ms / 1e3)
        return iter((ready, waiting, wait, pace))

    def _ever(self) -> Iterator[Metric]:
        asked = _counter("questions", "Questions that came, refused ones among them.")
        refused = _counter("questions_refused", "Questions without an answer, by reason.", "reason")
        inferences = _counter("inferences", "Questions that were run; divided by runs it is the size of a batch.")
        busy = _counter("busy_seconds", "Time in which the model ran.")
        for model in self._models:
            figures = model.figures
            asked.add_metric([model.name], figures.requests)
            for reason, count in sorted(figures.refused.items()):
                refused.add_metric([model.name, reason], count)
            inferences.add_metric([model.name], figures.inferences)
            busy.add_metric([model.name], self._busy_ns.get(model.name, 0) / 1e9)
        yield from (asked, refused, inferences, busy)
        yield self._runs()
        yield self._sums("answer_seconds", "From asking to the answer, of the answered.", "answered")
        yield self._sums("queue_wait_seconds", "From asking to the start of the run, of the answered.", "queue")
        for stage in ("prepare", "infer", "decode"):
            yield self._sums(f"{stage}_seconds", f"Share of the answered in their runs: {stage}.", stage)

    def _runs(self) -> Metric:
        runs = SummaryMetricFamily(f"{PREFIX}_run_seconds", "Runs, of any number of questions.", labels=["model"])
        for model in self._models:
            sums = model.figures.runs.values()
            runs.add_metric([model.name], sum(one.count for one in sums), sum(one.ns for one in sums) / 1e9)
        return runs

    def _sums(self, name: str, words: str, field: str) -> Metric:
        family = SummaryMetricFamily(f"{PREFIX}_{name}", words, labels=["model"])
        for model in self._models:
            total: Sum = getattr(model.figures, field)
            family.add_metric([model.name], total.count, total.ns / 1e9)
        return family


def _of_intake(intake: IntakeFigures) -> Iterator[Metric]:
    connected = GaugeMetricFamily(f"{PREFIX}_broker_connected", "1 while there is a connection to the broker.")
    connected.add_metric([], float(intake.connected))
    yield connected
    for name, words, count in (
        ("broker_connects", "Connections made to the broker.", intake.connects),
        ("answers_sent", "Answers sent over the broker.", intake.answered),
        ("refusals_sent", "Refusals sent over the broker.", intake.refused),
        ("answers_late", "Answers that were ready too late, and were not sent.", intake.late),
        ("answers_too_large", "Answers longer than the broker takes, refused instead.", intake.too_large),
    ):
        family = CounterMetricFamily(f"{PREFIX}_{name}", words)
        family.add_metric([], count)
        yield family


def _of_door(door: DoorFigures) -> Iterator[Metric]:
    messages = CounterMetricFamily(f"{PREFIX}_messages", "Messages that came over the broker.")
    messages.add_metric([], door.received)
    yield messages
    ignored = CounterMetricFamily(
        f"{PREFIX}_messages_unanswered",
        "Messages that came over the broker and got no word, by reason.",
        labels=["reason"],
    )
    for reason, count in (
        ("foreign", door.foreign),
        ("nameless", door.nameless),
        ("repeated", door.repeated),
        ("late", door.late),
        ("refused_too_often", door.untold),
    ):
        ignored.add_metric([reason], count)
    yield ignored


def _of_attention(attention: Mapping[str, AttentionFigures]) -> Iterator[Metric]:
    callers = GaugeMetricFamily(f"{PREFIX}_oip_callers", "Callers with something under way.", labels=["via"])
    under_way = GaugeMetricFamily(f"{PREFIX}_oip_under_way", "Requests that have come in.", labels=["via"])
    away = CounterMetricFamily(
        f"{PREFIX}_oip_turned_away", "Requests beyond their caller's share of those under way.", labels=["via"]
    )
    slowed = CounterMetricFamily(
        f"{PREFIX}_oip_refusals_slowed", "Refusals told late, as their caller had had so many.", labels=["via"]
    )
    for via, figures in sorted(attention.items()):
        callers.add_metric([via], figures.callers)
        under_way.add_metric([via], figures.under_way)
        away.add_metric([via], figures.turned_away)
        slowed.add_metric([via], figures.slowed)
    return iter((callers, under_way, away, slowed))


def _gauge(name: str, words: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", words, labels=["model", *labels])


def _counter(name: str, words: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", words, labels=["model", *labels])
