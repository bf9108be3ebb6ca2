"""How the running appliance is, told to the broker, the live page, systemd and Home Assistant."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from appliance import asyncapi, long_lived
from appliance.health import Health, as_document, feed_figures, judge, memory_mb, pipeline_figures
from appliance.pipeline.feed import Availability
from appliance.uplink.outgoing import Publish

if TYPE_CHECKING:
    from appliance.daemon import Daemon
    from appliance.metrics.observed import Observed

logger = logging.getLogger(__name__)

HEALTH_EVERY_S = 30.0
HEALTH_AGAIN_S = 1.0
"""A change is told at once, changes that follow at this pace."""
PAGE_EVERY_S = 1.0
ANNOUNCE_EVERY_S = 2.0
"""How soon Home Assistant knows a label that was never seen before."""
STARTING_S = 10.0
"""While models are loaded there is nothing to complain of yet."""


class Reporter:
    """For the main thread, unless a method says otherwise."""

    def __init__(self, daemon: Daemon) -> None:
        """`daemon`: of which it tells; nothing of it is changed here."""
        self.standing: Health | None = None
        """As it was at the last tick."""
        self._daemon = daemon
        self._started_ns = time.monotonic_ns()
        self._ready = False
        self._settled = False
        """Whether the models of this configuration are open, or known not to work for now."""
        self._sources: dict[str, Availability] = {}
        """As they were told last."""
        self._news: tuple[str, tuple[str, ...]] = ("", ())
        """Status and reasons, as they were told last."""
        self._health_ns = 0
        self._page_ns = 0
        self._announced_ns = 0

    def begin(self) -> None:
        """Another assembly has begun: its sources are told afresh."""
        self._settled = False
        self._sources.clear()

    def hurry(self) -> None:
        """Tell the health with the next tick."""
        self._health_ns = 0

    def tick(self, now_ns: int) -> None:
        self._tell_sources(now_ns)
        document = self.standing = self.health(now_ns)
        self._show(document, now_ns)
        self._settle(document, now_ns)
        self._tell_health(document, now_ns)
        self._announce(now_ns)

    def health(self, now_ns: int) -> Health:
        """The document on `…/health`. Any thread."""
        daemon, assembly = self._daemon, self._daemon.assembly
        sources = feed_figures(assembly.feeds, now_ns)
        pipelines = {
            name: pipeline_figures(pipeline, assembly.worker_of(pipeline), assembly.routed_figures(name))
            for name, pipeline in assembly.pipelines.items()
        }
        uplink: dict[str, Any] = {}
        if daemon.connections.uplink is not None:
            uplink = as_document(daemon.connections.uplink.figures())
        remote, recorder, harvester = assembly.remote, assembly.recorder, assembly.harvester
        complaints = () if recorder is None else recorder.complaints
        complaints += () if harvester is None else harvester.complaints
        status, reasons = judge(sources, pipelines, uplink, self._starting(now_ns), complaints)
        return Health(
            status=status,
            reasons=reasons,
            uptime_s=round((now_ns - self._started_ns) / 1e9, 1),
            clock=daemon.vitals.clock,
            memory_mb=memory_mb(),
            sources=sources,
            pipelines=pipelines,
            uplink=uplink,
            restart_required=daemon.restart_required,
            plans=dict(daemon.running.plans.news),
            power=daemon.vitals.power,
            temperature_c=daemon.vitals.celsius,
            remote={} if remote is None else as_document(remote.asker.figures()),
            recorder={} if recorder is None else recorder.figures,
            harvest=None if harvester is None else harvester.figures,
            models={} if daemon.models is None else dict(daemon.models.news),
        )

    def observed(self) -> Observed:
        """What metrics are made of. Any thread."""
        from appliance.metrics.observed import Observed

        daemon, uplink = self._daemon, self._daemon.connections.uplink
        page, traces = daemon.connections.page, daemon.connections.traces
        return Observed(
            device=daemon.topics.device,
            health=self.standing or self.health(time.monotonic_ns()),
            assembly=daemon.assembly,
            threads={"main": threading.main_thread()} | daemon.lasting.by_name | daemon.running.threads.by_name,
            ready=self._ready,
            live_times=None if uplink is None else uplink.live_times,
            stored_times=None if uplink is None else uplink.stored_times,
            joules=daemon.vitals.joules,
            traces=None if traces is None else traces.collector,
            viewers=None if page is None else page.hub.watched,
        )

    def _starting(self, now_ns: int) -> bool:
        return now_ns - self._started_ns < STARTING_S * 1e9

    def _tell_sources(self, now_ns: int) -> None:
        daemon = self._daemon
        for name, feed in daemon.assembly.feeds.items():
            status = feed.status(now_ns)
            if status == "offline" and not feed.tried and self._starting(now_ns):
                continue
            if self._sources.get(name) != status:
                logger.info("%s: %s (%s)", name, status, feed.figures(now_ns).reason)
                self._sources[name] = status
                daemon.post(Publish(daemon.topics.source_available(name), status.encode(), qos=1, retain=True))
                self.hurry()

    def _show(self, document: Health, now_ns: int) -> None:
        """To whoever looks at the live page."""
        page = self._daemon.connections.page
        if page is not None and page.hub.watched and now_ns - self._page_ns > PAGE_EVERY_S * 1e9:
            self._page_ns = now_ns
            page.hub.standing(document)

    def _settle(self, document: Health, now_ns: int) -> None:
        """Once every model is open, or known not to work for now: tell systemd that we are ready, the first time."""
        if self._settled or not all(worker.settled.is_set() for worker in self._daemon.assembly.workers.values()):
            return
        self._settled = True
        long_lived.settle()
        if self._ready:
            return
        self._ready = True
        self._daemon.notifier.tell(READY=1, STATUS=_in_short(document))
        self._tell_contract()
        logger.info("ready after %.2f s", (now_ns - self._started_ns) / 1e9)

    def _tell_contract(self) -> None:
        """What is published where; it takes some ten milliseconds to write, so after all else has begun."""
        daemon = self._daemon
        if daemon.connections.uplink is not None:
            contract = asyncapi.document(daemon.topics.base, daemon.topics.device)
            daemon.post(Publish(daemon.topics.schema, contract, qos=1, retain=True))

    def _tell_health(self, document: Health, now_ns: int) -> None:
        if not self._ready and self._starting(now_ns):
            return
        news = (document.status, document.reasons)
        every_s = HEALTH_EVERY_S if news == self._news else HEALTH_AGAIN_S
        if now_ns - self._health_ns < every_s * 1e9:
            return
        self._health_ns, self._news = now_ns, news
        self._daemon.post(Publish(self._daemon.topics.health, document, qos=1, retain=True))
        self._daemon.notifier.tell(STATUS=_in_short(document))

    def _announce(self, now_ns: int) -> None:
        """Tell Home Assistant what there is, once the models are open."""
        daemon = self._daemon
        if daemon.announcer is None or not self._settled or now_ns - self._announced_ns < ANNOUNCE_EVERY_S * 1e9:
            return
        self._announced_ns = now_ns
        told = {"temperature": daemon.vitals.celsius, "power": daemon.vitals.power.watts}
        measures = frozenset(name for name, value in told.items() if value is not None)
        daemon.announcer.announce(daemon.config, daemon.assembly, measures)


def _in_short(document: Health) -> str:
    """One line for `systemctl status`."""
    return f"{document.status}: " + ("; ".join(document.reasons) or "all sources and models at work")
