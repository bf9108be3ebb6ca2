"""The uplink thread: what other threads hand over goes to the outbox or straight out, the outbox to the broker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Literal

from appliance.histogram import Histogram
from appliance.mailbox import Mailbox
from appliance.mqtt.connection import Acknowledged, Down, Greeting, LinkEvent, Up
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.link import Link
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics
from appliance.outbox.file import OutboxError, OutboxTaken
from appliance.outbox.outbox import DEFAULT_QUOTA_BYTES, Outbox
from appliance.result import Result
from appliance.uplink import encoding
from appliance.uplink.figures import UplinkFigures
from appliance.uplink.intake import Intake
from appliance.uplink.outgoing import Outgoing, Spool
from appliance.uplink.retained import Post
from appliance.uplink.sender import Sender
from appliance.uplink.storekeeper import OnAccepted, Storekeeper
from appliance.uplink.streams import Streams

logger = logging.getLogger(__name__)

MOST_HANDED_OVER = 4096
TAKEN_AT_ONCE = 256
UNLIMITED_PER_S = 1e6
ACKNOWLEDGE_EVERY_S = 0.02
TIDY_EVERY_S = 0.25
STUCK_AFTER_S = 12.0
"""With the 15 s of WatchdogSec less than twice those; longer than a worn card takes for a commit."""
READ_BYTES_PER_S = 10_000_000
"""Of a slow card: an outbox is read from end to end when it is opened."""
FLUSH_WITHIN_S = 3.0
GOODBYE_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """Everything the uplink is told."""

    link: LinkSettings
    topics: Topics
    outbox_path: Path
    quota_bytes: int = DEFAULT_QUOTA_BYTES
    acknowledge: Literal["broker", "end-to-end"] = "broker"
    window: int = 1000
    """Most messages at QoS 1 on their way; the broker says how many it takes (mosquitto as it comes: 20)."""
    require_subscriber: bool = True
    """Keep events while nobody subscribes to them."""
    linger_s: float = 2.0
    """How long an acknowledged event is kept in case the broker dies with it."""
    drain_per_s: float = 1000.0
    """Most events a second after an outage, unless more come in, or a collector confirms them. Brokers queue some 1000
    messages for a subscriber that is slower than we are, and throw the rest away although they acknowledge it to us."""
    subscriptions: tuple[str, ...] = ()
    """Topic filters whose messages go to `Uplink.incoming`."""


class Uplink:
    """`mailbox` takes what is to go out, `incoming` gives what came in; `run` is the body of the thread."""

    def __init__(self, settings: UplinkSettings, on_accepted: OnAccepted | None = None) -> None:
        """`on_accepted` is called in the uplink thread with events that have become durable, and their places."""
        self._ready = threading.Condition()
        self.mailbox: Mailbox[Outgoing] = Intake(MOST_HANDED_OVER, self._ready)
        self.incoming: Mailbox[Incoming] = Mailbox(256)
        self._settings = settings
        self._end_to_end = settings.acknowledge == "end-to-end"
        self._random = Random()  # noqa: S311  # spreads load, guards nothing
        topics = settings.topics
        self._confirmations = topics.acknowledged("")
        subscriptions = settings.subscriptions + ((topics.acknowledged("+"),) if self._end_to_end else ())
        self._inbox: Mailbox[Incoming] = Mailbox(256, self._ready)
        self._link = Link(
            replace(settings.link, window=settings.window),
            Greeting(topics.available, b"offline", subscriptions),
            self._inbox,
            self._ready,
        )
        drain_per_s = UNLIMITED_PER_S if self._end_to_end else settings.drain_per_s
        self._sender = Sender(self._link, Post(topics.available, b"online", qos=1, retain=True), drain_per_s)
        self._outbox = Outbox(settings.outbox_path, settings.quota_bytes)
        self._storekeeper = Storekeeper(self._outbox, topics.device, self._open_streams, on_accepted)
        self._write_at_s = self._tidy_at_s = 0.0
        self._figures = UplinkFigures()
        self._progress_ns = time.monotonic_ns()

    def _open_streams(self, outbox: Outbox) -> Streams:
        self._progress_ns = time.monotonic_ns()  # however long its file took to check
        return Streams(
            outbox,
            end_to_end=self._end_to_end,
            require_subscriber=self._settings.require_subscriber,
            linger_s=self._settings.linger_s,
            random=self._random,
        )

    def claim(self) -> None:
        """Make sure that no other process uses this outbox. Raises OutboxTaken; `run` would only say so in health.

        A disk that cannot be used now is no reason not to start: `run` says so in health, and tries again.
        """
        try:
            self._outbox.claim()
        except OutboxTaken:
            raise
        except OutboxError as e:
            logger.error("%s; starting without an outbox", e)

    def figures(self) -> UplinkFigures:
        """The newest picture, some tenths of a second old. Any thread."""
        return self._figures

    def tell_sent(self, on_sent: Callable[[Result], None]) -> None:
        """Before `run`: who is told, on its thread, of every result that was written to the connection."""
        self._sender.on_sent = on_sent

    @property
    def live_times(self) -> Histogram:
        """Of results that are not spooled: from handing them over until they are written to the connection. Any
        thread."""
        return self._sender.live_times

    @property
    def stored_times(self) -> Histogram:
        """Of spooled documents: from handing them over until they are durable. Any thread."""
        return self._storekeeper.times

    def stuck(self, now_ns: int) -> bool:
        """Whether the thread has stopped turning. A broker or a disk that is away is no reason."""
        patience_s = STUCK_AFTER_S
        if self._storekeeper.opening:
            patience_s += self._settings.quota_bytes / READ_BYTES_PER_S
        return now_ns - self._progress_ns > patience_s * 1e9

    def run(self, stopping: threading.Event) -> None:
        """Until `stopping` is set; then what can go out goes out, and the broker hears `stopped`."""
        try:
            while not stopping.is_set():
                self._wait()
                self._turn(time.monotonic())
            self._finish()
        finally:
            self._link.finish(within_s=0.0)
            self._storekeeper.close()

    # One turn.

    def _wait(self) -> None:
        """Until there is something to do: something new, or something that was to be done later."""
        now_s = time.monotonic()
        patience_s = min(TIDY_EVERY_S, max(0.0, self._tidy_at_s - now_s))
        if (write_in_s := self._storekeeper.patience_s(now_s)) is not None:
            patience_s = min(patience_s, write_in_s)
        if self._sender.in_flight:
            patience_s = min(patience_s, ACKNOWLEDGE_EVERY_S)
        if self._sender.held_back_s:
            patience_s = min(patience_s, self._sender.held_back_s)
        with self._ready:
            self._ready.wait_for(self._anything_new, patience_s)

    def _anything_new(self) -> bool:
        return len(self.mailbox) > 0 or self._link.has_events or len(self._inbox) > 0

    def _turn(self, now_s: float) -> None:
        self._progress_ns = time.monotonic_ns()
        self._link.tend(now_s)
        try:
            self._hear(now_s)
            self._take(now_s)
            self._storekeeper.keep(now_s)
            self._send(now_s)
            if now_s >= self._tidy_at_s:
                self._tidy_at_s = now_s + TIDY_EVERY_S
                self._tidy(now_s)
        except OutboxError as e:
            self._lose_outbox(e, now_s)

    def _lose_outbox(self, error: OutboxError, now_s: float) -> None:
        self._storekeeper.fail(error, now_s)
        self._sender.streams = None

    def _hear(self, now_s: float) -> None:
        """What the broker said."""
        for event in self._link.events(now_s):
            try:
                self._hear_event(event, now_s)
            except OutboxError as e:  # the events after this one count all the same
                self._lose_outbox(e, now_s)
        for incoming in self._inbox.take_all(timeout_s=0):
            if self._end_to_end and incoming.topic.startswith(self._confirmations):
                self._confirm(incoming, now_s)
            else:
                self.incoming.put(incoming)

    def _hear_event(self, event: LinkEvent, now_s: float) -> None:
        if isinstance(event, Acknowledged):
            self._sender.answered(event, now_s)
        elif isinstance(event, Up):
            self._sender.connected(event, now_s)
        elif isinstance(event, Down):
            self._sender.disconnected(event, self._storekeeper.outbox, now_s)

    def _confirm(self, incoming: Incoming, now_s: float) -> None:
        """A collector says how far it has stored a stream."""
        streams = self._storekeeper.streams
        confirmed = encoding.confirmation(incoming.payload)
        if confirmed is None:
            logger.warning('%s: not {"epoch": "…", "seq": n}: ignored', incoming.topic)
        elif streams is not None and not streams.confirm(incoming.topic[len(self._confirmations) :], *confirmed, now_s):
            logger.info("%s: nothing of epoch %s up to %d was ever sent: ignored", incoming.topic, *confirmed)

    def _take(self, now_s: float) -> None:
        """What other threads handed over: live results go out before anything is written."""
        for item in self.mailbox.take_all(timeout_s=0, most=TAKEN_AT_ONCE):
            if isinstance(item, Spool):
                self._storekeeper.take(item)
            else:
                self._sender.post(encoding.post(item), now_s)

    def _send(self, now_s: float) -> None:
        streams = self._sender.streams = self._storekeeper.streams
        self._sender.send(now_s)
        if streams is not None and now_s >= self._write_at_s:
            self._write_at_s = now_s + ACKNOWLEDGE_EVERY_S
            streams.write_down(now_s)

    def _tidy(self, now_s: float) -> None:
        self._storekeeper.tidy(now_s, self._sender.heard_s)
        self._sender.ramp.incoming_per_s = self._storekeeper.incoming_per_s
        self._figures = self._picture()

    # The end.

    def _finish(self) -> None:
        """Everything handed over becomes durable, what the broker takes in time goes out, then we say goodbye."""
        deadline_s = time.monotonic() + FLUSH_WITHIN_S
        self.mailbox.close()
        self._go_on_until(lambda: not len(self.mailbox) and not self._storekeeper.waiting, deadline_s)
        if self._storekeeper.waiting:
            logger.error("%d events could not be written: %s", self._storekeeper.waiting, self._storekeeper.trouble)
        self._go_on_until(lambda: self._link.up is None or self._all_sent(), deadline_s)
        if self._link.up is not None:
            self._sender.post(Post(self._settings.topics.available, b"stopped", qos=1, retain=True), time.monotonic())
            self._turn(time.monotonic())
            self._go_on_until(
                lambda: self._link.up is None or not self._sender.in_flight, time.monotonic() + GOODBYE_WITHIN_S
            )
        self._link.finish(within_s=GOODBYE_WITHIN_S)

    def _go_on_until(self, done: Callable[[], bool], deadline_s: float) -> None:
        while not done() and time.monotonic() < deadline_s:
            with self._ready:
                self._ready.wait_for(self._anything_new, ACKNOWLEDGE_EVERY_S / 2)
            self._turn(time.monotonic())

    def _all_sent(self) -> bool:
        streams = self._storekeeper.streams
        return (streams is None or streams.idle) and not self._sender.in_flight

    def _picture(self) -> UplinkFigures:
        figures = self._storekeeper.figures()
        streams = self._storekeeper.streams
        alarms = self._link.deaf | self._sender.alarms | (streams.alarms if streams is not None else {})
        words = [f"{topic}: {text}" for topic, text in alarms.items()]
        words += [text for text in (self._storekeeper.trouble, figures.damage) if text]
        return UplinkFigures(
            connected=self._link.up is not None,
            broker=self._link.words,
            alarms=tuple(words),
            connects=self._link.connects,
            accepted=figures.accepted,
            stored=figures.stored,
            sent=figures.sent,
            dropped=figures.dropped,
            dropped_by_reason=dict(figures.dropped_by_reason or {}),
            dead=figures.dead,
            resent=streams.resends if streams is not None else 0,
            salvaged=figures.salvaged,
            in_flight=self._sender.in_flight,
            oldest_age_s=round(figures.oldest_age_s, 1),
            used_bytes=figures.used_bytes,
            quota_bytes=figures.quota_bytes,
            disk_full=figures.disk_full,
            sync_p99_ms=round(figures.sync_p99_ms, 2),
            posts_sent=self._sender.sent,
            posts_dropped=dict(self._sender.dropped),
            intake_dropped=self.mailbox.dropped + self._storekeeper.given_up,
            incoming_dropped=self.incoming.dropped + self._inbox.dropped,
            epoch=figures.epoch,
        )
