"""The appliance at work, on the main thread: started, ticking, read again, stopped."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path
from types import FrameType

from appliance import control, leftovers
from appliance.assembly import Assembly, assemble, check, state_folder
from appliance.catalogue import Catalogue
from appliance.config import Config
from appliance.config_errors import ConfigError
from appliance.connections import Connections
from appliance.home_assistant.announcer import Announcer
from appliance.info import info
from appliance.mqtt.topics import Topics
from appliance.notify import Notifier
from appliance.reconfigure.effective import Effective, effective
from appliance.reconfigure.layers import LOCAL_TABLES
from appliance.report import Reporter
from appliance.running import STOP_WITHIN_S, Running
from appliance.threads import Threads
from appliance.uplink.outgoing import Outgoing, Publish
from appliance.vitals import Vitals
from appliance.wiring import make_configuration, make_models

logger = logging.getLogger(__name__)

TICK_S = 0.2

LIVE_TABLES = frozenset({"camera", "microphone", "pipeline", "remote", "together"})
"""Tables that a reload applies; the others need a restart."""


class StartAgain(Exception):
    """A configuration from afar needs a fresh process; everything has been stopped in order."""

    def __init__(self, words: str, environment: dict[str, str]) -> None:
        """`environment`: what the fresh process needs of ours, beside what it inherits."""
        super().__init__(words)
        self.environment = environment


class Daemon:
    """Runs one configuration until it is told to stop."""

    def __init__(
        self,
        config: Config,
        path: Path | None,
        catalogue: Catalogue,
        connections: Connections,
        at_start: Effective | None = None,
    ) -> None:
        """`path` is read again on SIGHUP. `at_start`: where the configuration comes from, if it may come from afar."""
        self.config = config
        self.topics = Topics(config.mqtt.base if config.mqtt else "appliance", config.device.name)
        self.connections = connections
        self.running = Running(build_plans=config.gpu.build)
        self.lasting = Threads()
        """Those that a reload leaves alone."""
        self.vitals = Vitals()
        self.notifier = Notifier()
        self.restart_required: tuple[str, ...] = ()
        self.reporter = Reporter(self)
        told = config.home_assistant
        self.announcer = None if told is None else Announcer(told, self.topics, self.post)
        self._started_with = config
        self._path = path
        self._catalogue = catalogue
        self._state_folder = state_folder(config, dict(os.environ))
        self._stop = threading.Event()
        self._reload = threading.Event()
        self.models = make_models(config, catalogue, lambda: self.assembly.workers, self.running.differed)
        self.configuration = None
        if path is not None and at_start is not None:
            self.configuration = make_configuration(at_start, path, lambda: self.reporter.standing, self._reload.set)

    @property
    def assembly(self) -> Assembly:
        """What runs now."""
        return self.running.assembly

    def post(self, document: Outgoing) -> None:
        """Tell the world; never blocks. Any thread."""
        self.connections.post(document)

    # -- life -----------------------------------------------------------------------------------------------------

    def run(self, for_s: float | None = None) -> None:
        """Until SIGTERM or SIGINT, or for `for_s` seconds. Raises Broken when the process must start afresh."""
        self._listen_to_signals()
        until_ns = None if for_s is None else time.monotonic_ns() + int(for_s * 1e9)
        for name, body in self.connections.bodies(self.reporter.observed).items():
            self.lasting.start(name, body)
        ending: dict[str, str | int] = {"STOPPING": 1, "STATUS": "stopping"}
        try:
            self._begin(self.config)
            if self.models is not None:
                self.lasting.start("models", self.models.run)
            if self.configuration is not None:
                self.lasting.start("configuration", self.configuration.run)
            while not self._stop.wait(TICK_S):
                self._tick(time.monotonic_ns())
                if until_ns is not None and time.monotonic_ns() >= until_ns:
                    return
        except StartAgain:
            ending = {"STATUS": "starting again"}  # who says STOPPING is not expected back
            raise
        finally:
            self.notifier.tell(**ending)
            self.running.end()
            self.lasting.end(time.monotonic() + STOP_WITHIN_S)
            self.notifier.tell(WATCHDOG=1)

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
        page, traces = self.connections.page, self.connections.traces
        if page is not None:
            page.describe(config, self._state_folder)
        assembly = assemble(
            config,
            self._catalogue,
            self.topics,
            self.post,
            clock=lambda: self.vitals.clock,
            celsius=lambda: self.vitals.celsius,
            hub=None if page is None else page.hub,
            traces=traces,
            state=self._state_folder,
        )
        self.running.begin(assembly)
        self.reporter.begin()
        self.post(Publish(self.topics.info, info(config, assembly), qos=1, retain=True))
        for pipeline in assembly.pipelines.values():
            control.tell_pipeline(self, pipeline)
        for feed in assembly.feeds.values():
            control.tell_source(self, feed)

    # -- every tick -----------------------------------------------------------------------------------------------

    def _tick(self, now_ns: int) -> None:
        """Raises Broken and StartAgain."""
        self.vitals.tick(now_ns, sum(worker.inferences for worker in self.assembly.workers.values()))
        if self._reload.is_set():
            self._reload.clear()
            self.reload()
        self._hear()
        self.running.tick(now_ns, due=[] if self.models is None else self.models.successions.take_all(0))
        self.lasting.watch()
        if self.connections.oip is not None:
            self.connections.oip.check()
        self._pet_watchdog(now_ns)
        self.reporter.tick(now_ns)

    def _hear(self) -> None:
        """What other threads have left for this one."""
        if self.models is not None:
            for report in self.models.wishes.reports.take_all(0):
                self.post(Publish(self.topics.models_reported, report, qos=1, retain=True))
        if self.configuration is not None:
            for used in self.configuration.reports.take_all(0):
                self.post(Publish(self.topics.config_reported, used, qos=1, retain=True))
        if self.connections.page is not None:
            for order in self.connections.page.orders.take_all(0):
                control.carry_out(self, order)
        if self.connections.uplink is not None:
            for incoming in self.connections.uplink.incoming.take_all(0):
                control.hear(self, incoming)

    def _pet_watchdog(self, now_ns: int) -> None:
        """Without progress systemd is not told that all is well."""
        stuck = [*self.running.stuck(now_ns)]
        if self.connections.uplink is not None and self.connections.uplink.stuck(now_ns):
            stuck.append("uplink")
        if stuck:
            logger.error("no progress: %s", ", ".join(stuck))
        elif self.notifier.watchdog_s is not None:
            self.notifier.tell(WATCHDOG=1)

    # -- reload ---------------------------------------------------------------------------------------------------

    def reload(self) -> None:
        """Read the file again: all of it or nothing. What cannot change while running is named in health."""
        if self._path is None:
            return
        # RELOADING=1 and MONOTONIC_USEC belong together (sd_notify(3), Type=notify-reload).
        self.notifier.tell(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)
        try:
            found = (effective if self.configuration is None else self.configuration.read_again)(self._path)
        except ConfigError as error:
            logger.error("reload refused, going on as before: %s", error)
            self.notifier.tell(READY=1, STATUS=f"reload refused: {str(error).splitlines()[0]}")
            return
        before, after = self.config.model_dump(), found.config.model_dump()
        started = self._started_with.model_dump()
        self.restart_required = tuple(t for t in started if t not in LIVE_TABLES and started[t] != after[t])
        self._start_again_if_needed(found)
        if any(before[table] != after[table] for table in LIVE_TABLES):
            self._replace(found.config)
        self.config = found.config
        if self.configuration is not None:
            self.configuration.used = found.version
        self.reporter.hurry()
        logger.info("reloaded %s", self._path)
        self.notifier.tell(READY=1)

    def _start_again_if_needed(self, found: Effective) -> None:
        """A configuration from afar has nobody beside it who could restart the appliance. Raises StartAgain."""
        if self.configuration is None or found.version == self.configuration.used:
            return
        deep = set(self.restart_required) - LOCAL_TABLES.keys()
        if deep:
            words = f"{found.version}: [{'], ['.join(sorted(deep))}] need a fresh process"
            raise StartAgain(words, self.notifier.hand_on())

    def _replace(self, config: Config) -> None:
        """What runs by what the configuration asks for now."""
        before = self.assembly
        self.running.end()
        self._begin(config)
        for document in leftovers.of_reload(before, self.assembly, self.topics):
            self.post(document)
