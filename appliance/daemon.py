"""The appliance at work: the only place that starts threads, and the main thread that watches them."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from appliance import asyncapi, control, health, leftovers, long_lived
from appliance.assembly import Assembly, assemble, check, state_folder
from appliance.catalogue import Catalogue
from appliance.clock import clock_state
from appliance.commands import BadCommand
from appliance.config import Config
from appliance.config_errors import ConfigError
from appliance.home_assistant.announcer import Announcer
from appliance.info import info
from appliance.mqtt.topics import Topics
from appliance.notify import Notifier
from appliance.pipeline.audience import Heard
from appliance.pipeline.feed import Availability
from appliance.plans import Plans
from appliance.power import Power
from appliance.reconfigure.effective import Effective, effective
from appliance.reconfigure.layers import LOCAL_TABLES
from appliance.result import Clock, ModelId
from appliance.service.room import Broken as RoomBroken
from appliance.temperature import Thermometer
from appliance.thread_name import name_thread
from appliance.uplink.outgoing import Outgoing, Publish
from appliance.uplink.uplink import Uplink
from appliance.wiring import make_configuration, make_models
from engines.predictions import Answer

if TYPE_CHECKING:
    from appliance.metrics.observed import Observed
    from appliance.metrics.serving import MetricsServer
    from appliance.oip.on_device import OnDevice
    from appliance.page.serving import LivePage
    from appliance.traces.device import DeviceTraces

logger = logging.getLogger(__name__)

TICK_S = 0.2
HEALTH_EVERY_S = 30.0
HEALTH_AGAIN_S = 1.0
"""A change is told at once, changes that follow at this pace."""
CLOCK_EVERY_S = 30.0
POWER_EVERY_S = 1.0
ANNOUNCE_EVERY_S = 2.0
"""How soon Home Assistant knows a label that was never seen before."""
STARTING_S = 10.0
"""While models are loaded there is nothing to complain of yet."""

STOP_WITHIN_S = 8.0
"""One deadline for every thread to end; systemd's own comes later."""

MOST_ABANDONED = 3
"""So many capture threads left hanging below Python, and the process starts afresh."""

LIVE_TABLES = frozenset({"camera", "microphone", "pipeline", "remote", "together"})
"""Tables that a reload applies; the others need a restart."""


class Broken(Exception):
    """The process cannot go on as it is and ends in order, to be started afresh."""


class StartAgain(Exception):
    """A configuration from afar needs a fresh process; everything has been stopped in order."""

    def __init__(self, words: str, environment: dict[str, str]) -> None:
        """`environment`: what the fresh process needs of ours, beside what it inherits."""
        super().__init__(words)
        self.environment = environment


@dataclass(slots=True)
class _Thread:
    thread: threading.Thread
    stopping: threading.Event


class Daemon:
    """Runs one configuration until it is told to stop."""

    def __init__(
        self,
        config: Config,
        path: Path | None,
        catalogue: Catalogue,
        uplink: Uplink | None,
        oip: OnDevice | None = None,
        page: LivePage | None = None,
        metrics: MetricsServer | None = None,
        traces: DeviceTraces | None = None,
        at_start: Effective | None = None,
    ) -> None:
        """`path` is read again on SIGHUP. Without an uplink (no [mqtt]) results are counted and not published. `oip`,
        `page` and `metrics` listen already. `at_start`: where the configuration comes from, if it may come from afar.
        """
        self.config = config
        self._started_with = config
        self.topics = Topics(config.mqtt.base if config.mqtt else "appliance", config.device.name)
        self.assembly = Assembly()
        self.restart_required: tuple[str, ...] = ()
        self._path = path
        self._catalogue = catalogue
        self._uplink = uplink
        self._notifier = Notifier()
        self._threads: dict[str, _Thread] = {}
        """Those that a reload ends and starts again."""
        self._lasting: dict[str, _Thread] = {}
        """Those that it leaves alone."""
        self._oip = oip
        self._page = page
        self._page_told_ns = 0
        self._metrics = metrics
        self._traces = traces
        self._models = make_models(config, catalogue, lambda: self.assembly.workers, self._differed)
        self._standing: health.Health | None = None
        """As it was at the last tick."""
        self._stop = threading.Event()
        self._reload = threading.Event()
        self._configuration = None
        if path is not None and at_start is not None:
            self._configuration = make_configuration(at_start, path, lambda: self._standing, self._reload.set)
        self._started_ns = time.monotonic_ns()
        self._clock: Clock = clock_state()
        self._clock_ns = self._started_ns
        self._power = Power()
        self._thermometer = Thermometer()
        self._sampled_ns = 0
        self._state_folder = state_folder(config, dict(os.environ))
        self._plans = Plans(build=config.gpu.build)
        self._successors: dict[str, _Thread] = {}
        """Name of a worker: the thread that is to take it over."""
        told = config.home_assistant
        self.announcer = None if told is None else Announcer(told, self.topics, self.post)
        self._announced_ns = 0
        self._told: dict[str, Availability] = {}
        self._health_ns = 0
        self._told_health: tuple[str, tuple[str, ...]] = ("", ())
        self._ready = False
        self._settled = False
        """Whether the models of this configuration are open, or known not to work for now."""

    # -- life -----------------------------------------------------------------------------------------------------

    def run(self, for_s: float | None = None) -> None:
        """Until SIGTERM or SIGINT, or for `for_s` seconds. Raises Broken when the process must start afresh."""
        self._listen_to_signals()
        until_ns = None if for_s is None else time.monotonic_ns() + int(for_s * 1e9)
        self._start_lasting()
        ending: dict[str, str | int] = {"STOPPING": 1, "STATUS": "stopping"}
        try:
            self._begin(self.config)
            if self._models is not None:
                self._lasting["models"] = self._start("models", self._models.run)
            if self._configuration is not None:
                self._lasting["configuration"] = self._start("configuration", self._configuration.run)
            while not self._stop.wait(TICK_S):
                self._tick(time.monotonic_ns())
                if until_ns is not None and time.monotonic_ns() >= until_ns:
                    return
        except StartAgain:
            ending = {"STATUS": "starting again"}  # who says STOPPING is not expected back
            raise
        finally:
            self._notifier.tell(**ending)
            self._end()
            self._join(self._lasting, time.monotonic() + STOP_WITHIN_S)
            self._notifier.tell(WATCHDOG=1)

    def _start_lasting(self) -> None:
        bodies: dict[str, Callable[[threading.Event], None]] = {}
        if self._traces is not None:
            bodies["traces"] = self._traces.collector.run
            if self._uplink is not None:
                self._uplink.tell_sent(self._traces.sent)
        if self._uplink is not None:
            bodies["uplink"] = self._uplink.run
        if self._oip is not None:
            bodies["oip"] = self._oip.run
        if self._page is not None:
            bodies |= {"page": self._page.run, "page encoder": self._page.encode}
        if self._metrics is not None:
            bodies["metrics"] = partial(self._metrics.run, observe=self.observed)
        for name, body in bodies.items():
            self._lasting[name] = self._start(name, body)

    def stop(self) -> None:
        """Callable from any thread."""
        self._stop.set()

    @property
    def told_to_stop(self) -> bool:
        return self._stop.is_set()

    def _listen_to_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return

        def on_stop(_number: int, _frame: FrameType | None) -> None:
            self._stop.set()

        def on_reload(_number: int, _frame: FrameType | None) -> None:
            self._reload.set()

        signal.signal(signal.SIGTERM, on_stop)
        signal.signal(signal.SIGINT, on_stop)
        signal.signal(signal.SIGHUP, on_reload)

    def _begin(self, config: Config) -> None:
        """Start everything that a reload replaces."""
        check(config)
        if self._page is not None:
            self._page.describe(config, self._state_folder)
        self.assembly = assemble(
            config,
            self._catalogue,
            self.topics,
            self.post,
            lambda: self._clock,
            lambda: self._thermometer.celsius,
            None if self._page is None else self._page.hub,
            self._traces,
            self._state_folder,
        )
        remote = self.assembly.remote
        if remote is not None:
            for name, body in (
                ("asker", remote.asker.run),
                ("inquirer", remote.inquirer.run),
                ("router", remote.routing.run),
            ):
                self._threads[name] = self._start(name, body)
        if self.assembly.recorder is not None:
            self._threads["recorder"] = self._start("recorder", self.assembly.recorder.run)
        if self.assembly.harvester is not None:
            self._threads["harvest"] = self._start("harvest", self.assembly.harvester.run)
        for worker in self.assembly.workers.values():
            self._threads[f"model {worker.name}"] = self._start(f"model {worker.name}", worker.run)
        for feed in self.assembly.feeds.values():
            self._threads[f"capture {feed.name}"] = self._start(f"capture {feed.name}", feed.run)
        self._settled = False
        self._told.clear()
        self.post(Publish(self.topics.info, info(config, self.assembly), qos=1, retain=True))
        for pipeline in self.assembly.pipelines.values():
            control.tell_pipeline(self, pipeline)
        for feed in self.assembly.feeds.values():
            control.tell_source(self, feed)

    def _end(self) -> None:
        """Stop what `_begin` started, in order: first what captures, then what infers."""
        deadline = time.monotonic() + STOP_WITHIN_S
        self._plans.close()
        threads, self._threads = self._threads, {}
        threads |= {f"{name} (successor)": running for name, running in self._successors.items()}
        self._successors = {}
        for running in threads.values():
            running.stopping.set()
        for feed in self.assembly.feeds.values():
            feed.close()
        for worker in self.assembly.workers.values():
            worker.wake()
        if self.assembly.remote is not None:
            self.assembly.remote.wake()
        self._join(threads, deadline)

    def _start(self, name: str, body: Callable[[threading.Event], None]) -> _Thread:
        stopping = threading.Event()

        def run() -> None:
            name_thread(name)
            body(stopping)

        # Daemonic, so that a thread stuck in a driver cannot keep the process from ending.
        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return _Thread(thread, stopping)

    def _join(self, threads: dict[str, _Thread], deadline: float) -> None:
        for running in threads.values():
            running.stopping.set()
        for name, running in threads.items():
            running.thread.join(max(0.0, deadline - time.monotonic()))
            if running.thread.is_alive():
                logger.error("%s: did not stop within %.0f s and is left behind", name, STOP_WITHIN_S)

    # -- every tick -----------------------------------------------------------------------------------------------

    def post(self, document: Outgoing) -> None:
        """Hand a document to the uplink, and to the live page; never blocks."""
        if self._page is not None:
            self._page.hub.posted(document)
        if self._uplink is not None:
            self._uplink.mailbox.put(document)

    def _tick(self, now_ns: int) -> None:
        if now_ns - self._clock_ns > CLOCK_EVERY_S * 1e9:
            self._clock, self._clock_ns = clock_state(), now_ns
        if now_ns - self._sampled_ns > POWER_EVERY_S * 1e9:
            self._sampled_ns = now_ns
            self._thermometer.sample()
            self._power.sample(now_ns / 1e9, sum(each.inferences for each in self.assembly.workers.values()))
        if self._reload.is_set():
            self._reload.clear()
            self.reload()
        self._hear()
        if self.assembly.gathering is not None:
            self.assembly.gathering.tick()
        for worker in self.assembly.workers.values():
            worker.check(now_ns)
        self._replace_hung_captures(now_ns)
        self._hand_over()
        self._watch_lasting()
        self._watch_oip()
        self._watch_threads(now_ns)
        self._tell_sources(now_ns)
        self._tell_health(now_ns)
        self._announce(now_ns)

    def _replace_hung_captures(self, now_ns: int) -> None:
        for feed in self.assembly.feeds.values():
            if not feed.hung(now_ns):
                continue
            if feed.abandoned >= MOST_ABANDONED:
                raise Broken(f"{feed.name}: {feed.abandoned} capture threads hang in the driver; starting afresh")
            feed.abandon()
            self._threads[f"capture {feed.name}"] = self._start(f"capture {feed.name}", feed.run)

    def _hand_over(self) -> None:
        """A model whose plan is ready goes on in a thread that opens it on the GPU, and one of which another version is
        active in a thread that opens that one; the old one answers until then."""
        ready = self._plans.tick(self.assembly.workers)
        due = [] if self._models is None else self._models.successions.take_all(0)
        for worker in due if ready is None else [ready, *due]:
            if worker.name not in self._successors and self.assembly.workers.get(worker.name) is worker:
                self._successors[worker.name] = self._start(f"model {worker.name}", worker.take_over)
        for name, running in list(self._successors.items()):
            serving = self._threads[f"model {name}"]
            if self.assembly.workers[name].relieved and not serving.thread.is_alive():
                self._threads[f"model {name}"] = self._successors.pop(name)
            elif not running.thread.is_alive():  # it could not open its model and said so
                del self._successors[name]

    def _watch_oip(self) -> None:
        """Models for other programs are watched as the others are."""
        if self._oip is None:
            return
        try:
            self._oip.check()
        except RoomBroken as error:
            raise Broken(str(error)) from error

    def _watch_lasting(self) -> None:
        for name, running in self._lasting.items():
            if not running.thread.is_alive():
                raise Broken(f"{name}: the thread ended unexpectedly; see the traceback above")

    def _watch_threads(self, now_ns: int) -> None:
        """A dead thread is a bug: end the process. Without progress systemd is not told that all is well."""
        for name, running in self._threads.items():
            feed = self.assembly.feeds.get(name.removeprefix("capture "))
            worker = name.removeprefix("model ")
            relieved = worker in self._successors and self.assembly.workers[worker].relieved
            if not running.thread.is_alive() and not (feed is not None and feed.finished) and not relieved:
                raise Broken(f"{name}: the thread ended unexpectedly; see the traceback above")
        stuck = [worker.name for worker in self.assembly.workers.values() if worker.stuck(now_ns)]
        if self._uplink is not None and self._uplink.stuck(now_ns):
            stuck.append("uplink")
        if self.assembly.remote is not None and self.assembly.remote.routing.stuck(now_ns):
            stuck.append("router")
        if stuck:
            logger.error("no progress: %s", ", ".join(stuck))
            return
        if self._notifier.watchdog_s is not None:
            self._notifier.tell(WATCHDOG=1)

    def _tell_sources(self, now_ns: int) -> None:
        for name, feed in self.assembly.feeds.items():
            status = feed.status(now_ns)
            if status == "offline" and not feed.tried and now_ns - self._started_ns < STARTING_S * 1e9:
                continue
            if self._told.get(name) != status:
                logger.info("%s: %s (%s)", name, status, feed.figures(now_ns).reason)
                self._told[name] = status
                self.post(Publish(self.topics.source_available(name), status.encode(), qos=1, retain=True))
                self._health_ns = 0

    def _tell_health(self, now_ns: int) -> None:
        document = self._standing = self.health(now_ns)
        if self._page is not None and self._page.hub.watched and now_ns - self._page_told_ns > 1e9:
            self._page_told_ns = now_ns
            self._page.hub.standing(document)
        if not self._settled and all(worker.settled.is_set() for worker in self.assembly.workers.values()):
            self._settled = True
            long_lived.settle()
        if not self._ready and self._settled:
            self._ready = True
            self._notifier.tell(READY=1, STATUS=_in_short(document))
            self._tell_contract()
            logger.info("ready after %.2f s", (now_ns - self._started_ns) / 1e9)
        if not self._ready and now_ns - self._started_ns < STARTING_S * 1e9:
            return
        news = (document.status, document.reasons)
        every_s = HEALTH_EVERY_S if news == self._told_health else HEALTH_AGAIN_S
        if now_ns - self._health_ns < every_s * 1e9:
            return
        self._health_ns, self._told_health = now_ns, news
        self.post(Publish(self.topics.health, document, qos=1, retain=True))
        self._notifier.tell(STATUS=_in_short(document))

    def _announce(self, now_ns: int) -> None:
        """Tell Home Assistant what there is, once the models are open."""
        if self.announcer is None or not self._settled or now_ns - self._announced_ns < ANNOUNCE_EVERY_S * 1e9:
            return
        self._announced_ns = now_ns
        told = {"temperature": self._thermometer.celsius, "power": self._power.figures.watts}
        measures = frozenset(name for name, value in told.items() if value is not None)
        self.announcer.announce(self.config, self.assembly, measures)

    def _tell_contract(self) -> None:
        """What is published where; it takes some ten milliseconds to write, so after all else has begun."""
        if self._uplink is not None:
            contract = asyncapi.document(self.topics.base, self.topics.device)
            self.post(Publish(self.topics.schema, contract, qos=1, retain=True))

    def health(self, now_ns: int) -> health.Health:
        """The document on `…/health`."""
        sources = health.feed_figures(self.assembly.feeds, now_ns)
        pipelines = {
            name: health.pipeline_figures(
                pipeline, self.assembly.worker_of(pipeline), self.assembly.routed_figures(name)
            )
            for name, pipeline in self.assembly.pipelines.items()
        }
        uplink: dict[str, Any] = {} if self._uplink is None else health.as_document(self._uplink.figures())
        remote = self.assembly.remote
        starting = now_ns - self._started_ns < STARTING_S * 1e9
        recorder, harvester = self.assembly.recorder, self.assembly.harvester
        complaints = () if recorder is None else recorder.complaints
        complaints += () if harvester is None else harvester.complaints
        status, reasons = health.judge(sources, pipelines, uplink, starting, complaints)
        return health.Health(
            status=status,
            reasons=reasons,
            uptime_s=round((now_ns - self._started_ns) / 1e9, 1),
            clock=self._clock,
            memory_mb=health.memory_mb(),
            sources=sources,
            pipelines=pipelines,
            uplink=uplink,
            restart_required=self.restart_required,
            plans=dict(self._plans.news),
            power=self._power.figures,
            temperature_c=self._thermometer.celsius,
            remote={} if remote is None else health.as_document(remote.asker.figures()),
            recorder={} if recorder is None else recorder.figures,
            harvest=None if harvester is None else harvester.figures,
            models={} if self._models is None else dict(self._models.news),
        )

    def observed(self) -> Observed:
        """What metrics are made of. Any thread."""
        from appliance.metrics.observed import Observed

        threads = {"main": threading.main_thread()}
        threads |= {name: each.thread for name, each in (self._lasting | dict(self._threads)).items()}
        return Observed(
            device=self.topics.device,
            health=self._standing or self.health(time.monotonic_ns()),
            assembly=self.assembly,
            threads=threads,
            ready=self._ready,
            live_times=None if self._uplink is None else self._uplink.live_times,
            stored_times=None if self._uplink is None else self._uplink.stored_times,
            joules=None if self._power.figures.watts is None else self._power.joules,
            traces=None if self._traces is None else self._traces.collector,
            viewers=None if self._page is None else self._page.hub.watched,
        )

    def _hear(self) -> None:
        if self._models is not None:
            for report in self._models.wishes.reports.take_all(0):
                self.post(Publish(self.topics.models_reported, report, qos=1, retain=True))
        if self._configuration is not None:
            for used in self._configuration.reports.take_all(0):
                self.post(Publish(self.topics.config_reported, used, qos=1, retain=True))
        if self._page is not None:
            for order in self._page.orders.take_all(0):
                control.carry_out(self, order)
        if self._uplink is None:
            return
        for incoming in self._uplink.incoming.take_all(0):
            control.hear(self, incoming)

    def desire(self, payload: bytes) -> None:
        """A document about the models that are to run here."""
        if self._models is not None:
            self._models.wishes.desire(payload)

    def install(self, model: str) -> str:
        """Begin to put the version that is offered of a model in the place of the active one; which that is.

        Raises BadCommand.
        """
        if self._models is None:
            raise BadCommand(f"{model[:64]}: the configuration has no [models]: no version is offered")
        return self._models.wishes.install(model)

    def _differed(self, model: ModelId, heard: Heard, answer: Answer) -> None:
        """A version in shadow says something else of a sample than the active one. Of the thread `models`."""
        assembly = self.assembly
        pipeline = assembly.pipelines.get(heard.pipeline)
        if assembly.harvester is not None and pipeline is not None:
            assembly.harvester.differed(heard, assembly.worker_of(pipeline).manifest_id, model, answer)

    def reconfigure(self, payload: bytes) -> None:
        """A document about the configuration that is to be used here."""
        if self._configuration is not None:
            self._configuration.desire(payload)

    # -- reload ---------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the file again: all of it or nothing. What cannot change while running is named in health."""
        if self._path is None:
            return
        # RELOADING=1 and MONOTONIC_USEC belong together (sd_notify(3), Type=notify-reload).
        self._notifier.tell(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)
        try:
            found = (effective if self._configuration is None else self._configuration.read_again)(self._path)
        except ConfigError as error:
            logger.error("reload refused, going on as before: %s", error)
            self._notifier.tell(READY=1, STATUS=f"reload refused: {str(error).splitlines()[0]}")
            return
        fresh = found.config
        before, after = self.config.model_dump(), fresh.model_dump()
        started = self._started_with.model_dump()
        self.restart_required = tuple(t for t in started if t not in LIVE_TABLES and started[t] != after[t])
        if self._configuration is not None and found.version != self._configuration.used:
            deep = set(self.restart_required) - LOCAL_TABLES.keys()
            if deep:
                words = f"{found.version}: [{'], ['.join(sorted(deep))}] need a fresh process"
                raise StartAgain(words, self._notifier.hand_on())
        if any(before[table] != after[table] for table in LIVE_TABLES):
            old = self.assembly
            self._end()
            self._begin(fresh)
            for document in leftovers.of_reload(old, self.assembly, self.topics):
                self.post(document)
        self.config = fresh
        if self._configuration is not None:
            self._configuration.used = found.version
        self._health_ns = 0
        logger.info("reloaded %s", self._path)
        self._notifier.tell(READY=1)


def _in_short(document: health.Health) -> str:
    """One line for `systemctl status`."""
    return f"{document.status}: " + ("; ".join(document.reasons) or "all sources and models at work")
