"""The process of a model service: its threads, what it says of itself, and its end."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

from appliance import long_lived
from appliance.notify import Notifier
from appliance.questions.announcement import Announcement, Load, ServedModel, served
from appliance.questions.codec import QuestionLimits
from appliance.questions.tensors import Limits
from appliance.service.backend import Backend
from appliance.service.door import Door, DoorLimits
from appliance.service.intake import Intake, link_for_service
from appliance.service.line import RoomLimits
from appliance.service.outgoing import Outgoing
from appliance.service.reader import Reader
from appliance.service.room import Room, Standing
from appliance.service.settings import ServiceConfig
from appliance.threads import Threads
from appliance.wiring import link_settings

if TYPE_CHECKING:
    from appliance.harvest.collector import Collector
    from appliance.traces.service import ServiceTraces

logger = logging.getLogger(__name__)

TICK_S = 0.2
BUSY_OVER_S = 2.0
"""The share of the time at work is that of so long."""
STOP_WITHIN_S = 5.0


class Service:
    """Runs one configuration until it is told to stop."""

    def __init__(self, config: ServiceConfig, backends: Mapping[str, Callable[[], Backend]]) -> None:
        """`backends`: by the name of the model. Raises ConfigError when the broker or its secrets are of no use."""
        serve = config.serve
        self.config = config
        self.room = Room(backends, limits=RoomLimits(run_s=serve.run_s), service=serve.id)
        self._busy = _Busy()
        self._ready = threading.Condition()
        outgoing = Outgoing(self._ready)
        largest = serve.largest_kb * 1024
        bytes_limits = {"each_bytes": 2 * largest, "waiting_bytes": 16 * largest}
        door_limits = DoorLimits(each=serve.each, most=serve.most, **bytes_limits)
        self.door = Door(self.room, outgoing, config.mqtt.base, door_limits)
        limits = QuestionLimits(Limits(body_bytes=largest), pixels=int(serve.largest_megapixels * 1e6))
        self.traces = _traces(config)
        self.reader = Reader(self.door, self.room, outgoing, limits, self.traces)
        link = link_for_service(link_settings(config.mqtt, f"model-service-{serve.id}"), largest)
        self.intake = Intake(link, self.door, outgoing, self._ready, self.announcement)
        self._collector = _collector(config)
        self._notifier = Notifier()
        self._threads = Threads()
        self._told_ready = False

    def run(self, for_s: float | None = None) -> None:
        """Until SIGTERM, SIGINT or `for_s`; what has been taken is answered first. Raises Broken."""
        end_s = None if for_s is None else time.monotonic() + for_s
        told = threading.Event()
        with self._signals(told), self.room, self._oip():
            self._threads.start("intake", self.intake.run)
            if self._collector is not None:
                self._threads.start("harvest", self._collector.run)
            if self.traces is not None:
                self._threads.start("traces", self.traces.collector.run)
            for number in range(self.config.serve.readers):
                self._threads.start(f"reader {number + 1}", self.reader.run)
            try:
                while not told.wait(TICK_S) and (end_s is None or time.monotonic() < end_s):
                    self._watch()
                self._drain()
            finally:
                self._stop()

    @contextlib.contextmanager
    def _signals(self, told: threading.Event) -> Iterator[None]:
        """Within the block a signal sets `told`, where signals can be had: on the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(_number: int, _frame: FrameType | None) -> None:
            told.set()

        before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def _oip(self) -> Iterator[None]:
        """The Open Inference Protocol, where it is wanted."""
        if self.config.oip is None:
            yield
            return
        from appliance.oip.serving import Serving
        from appliance.service.metrics import exposition

        def metrics() -> bytes:
            return exposition(self.room, self.intake.figures(), self.door.figures, serving.figures())

        serving = Serving(self.room, self.config.oip, self.config.serve.id, metrics=metrics)
        addresses = serving.listen()
        logger.info("Open Inference Protocol: %s", ", ".join(filter(None, (addresses.http, addresses.grpc))))
        self._threads.start("oip", serving.run)
        try:
            yield
        finally:
            serving.close()

    # -- at work --------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Raises Broken."""
        self.room.check()
        self._threads.watch()
        if not self._told_ready and self.room.settled:
            self._told_ready = True
            long_lived.settle()
            models = ", ".join(standing.name for standing in self.room.models() if standing.ready) or "no model"
            self._notifier.tell(READY=1, STATUS=f"answers for {models}")
            logger.info("%s: answers for %s", self.config.serve.id, models)
        if self._notifier.watchdog_s is not None:
            self._notifier.tell(WATCHDOG=1)

    def announcement(self) -> Announcement:
        """How the service is now."""
        standings = self.room.models()
        return Announcement(
            service=self.config.serve.id,
            state="online",
            group=self.config.serve.group,
            models=tuple(_served(standing) for standing in standings),
            load=Load(
                waiting=sum(standing.waiting for standing in standings),
                busy=self._busy.share(self.room.busy_ns(), time.monotonic_ns()),
                queue_ms=round(max((standing.queue_ms for standing in standings), default=0.0), 0),
            ),
            capacity=self.config.serve.most,
            each=self.config.serve.each,
            largest_bytes=self.config.serve.largest_kb * 1024,
        )

    # -- the end --------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        """Take no more, answer what is here; at most `drain_s`."""
        self._notifier.tell(STOPPING=1, STATUS="answers what it has and takes no more")
        end_s = time.monotonic() + self.config.serve.drain_s
        self.intake.drain()
        self.intake.quiet.wait(self.config.serve.drain_s)
        logger.info("%s: takes no more questions; %d are open", self.config.serve.id, self.door.open)
        while time.monotonic() < end_s and self.door.open:
            self._pause()
        self.room.drain()  # whoever asks past the door, over the Open Inference Protocol, is refused from now on
        while time.monotonic() < end_s and not (self.room.idle and self.intake.settled):
            self._pause()

    def _pause(self) -> None:
        with self._ready:
            self._ready.wait(0.02)

    def _stop(self) -> None:
        self._threads.ask_to_end()
        self.door.close()
        self.intake.wake()
        self._threads.end(time.monotonic() + STOP_WITHIN_S)


class _Busy:
    """Share of the last seconds in which the busiest model ran."""

    def __init__(self) -> None:
        self._before: dict[str, int] = {}
        self._before_ns = time.monotonic_ns()
        self._share = 0.0

    def share(self, busy_ns: dict[str, int], now_ns: int) -> float:
        span_ns = now_ns - self._before_ns
        if span_ns >= BUSY_OVER_S * 1e9:
            most = max((ns - self._before.get(name, 0) for name, ns in busy_ns.items()), default=0)
            self._share = round(min(1.0, most / span_ns), 2)
            self._before, self._before_ns = busy_ns, now_ns
        return self._share


def _served(standing: Standing) -> ServedModel:
    if standing.manifest is None:
        return ServedModel(name=standing.name, ready=False, fault=(standing.fault or "")[:500])
    return served(
        standing.name,
        standing.manifest,
        engine=standing.engine,
        queue_ms=standing.queue_ms,
        infer_ms=standing.infer_ms,
    )


def _traces(config: ServiceConfig) -> ServiceTraces | None:
    """Where traces are made; None where they are not. Raises ConfigError."""
    if config.traces is None:
        return None
    from appliance.traces.collector import Collector
    from appliance.traces.service import ServiceTraces

    return ServiceTraces(Collector(config.traces, "model-service", config.serve.id))


def _collector(config: ServiceConfig) -> Collector | None:
    """What stores the samples of devices; None where they are not wanted. Raises ConfigError."""
    if config.harvest is None:
        return None
    from appliance.harvest.barn import Barn
    from appliance.harvest.collector import Collector

    link = link_settings(config.mqtt, f"model-service-{config.serve.id}-harvest")
    barn = Barn(config.harvest.folder, leave_free=config.harvest.leave_free_mb * 1_000_000)
    return Collector(barn, replace(link, will_delay_s=0), config.mqtt.base, config.serve.group)
