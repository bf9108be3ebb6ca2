"""The body of `/metrics`: the text format of Prometheus, from the figures of one moment."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from appliance.metrics import families
from appliance.metrics.observed import Observed

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition(now: Observed) -> bytes:
    """Of the type CONTENT_TYPE."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Reading(now))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Reading(Collector):
    def __init__(self, now: Observed) -> None:
        self._now = now

    def collect(self) -> Iterable[Metric]:
        now = self._now
        yield from families.of_the_appliance(now)
        yield from families.of_threads(now)
        yield from families.of_sources(now.health.sources)
        yield from families.of_models(now)
        yield from families.of_pipelines(now)
        yield from families.of_routing(now.health.pipelines, now.health.remote)
        yield from families.of_harvest(now.health.harvest)
        yield from families.of_uplink(now.health, now.live_times, now.stored_times)
