"""The uplink thread: what other threads hand over goes to the outbox or straight out, the outbox to the broker."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Literal

from appliance import result
from appliance.backoff import Backoff
from appliance.connection import Acknowledged, Greeting, Up
from appliance.gaps import Dropped
from appliance.incoming import Incoming
from appliance.intake import Intake
from appliance.link import Link
from appliance.link_settings import LinkSettings
from appliance.mailbox import Mailbox
from appliance.outbox import DEFAULT_QUOTA_BYTES, Entry, Outbox, OutboxFigures
from appliance.outbox_file import OutboxError
from appliance.outgoing import Outgoing, Publish, Spool
from appliance.pace import Pace
from appliance.retained import Post
from appliance.sender import Sender
from appliance.streams import Streams
from appliance.topics import Topics
from appliance.uplink_figures import UplinkFigures

logger = logging.getLogger(__name__)

GROUP = 64
"""Events that share one write to the disk, at most."""
SYNCS_PER_S = 100.0
SYNCS_AT_ONCE = 8
"""A lone event is durable at once; a flood is written in groups, for flash memory wears with every sync."""
UNLIMITED_PER_S = 1e6
WAITING_FOR_OUTBOX = 2048
"""Events held in memory while the outbox cannot be used."""
ACKNOWLEDGE_EVERY_S = 0.02
TIDY_EVERY_S = 0.25
SETTLE_EVERY_S = 5.0
STUCK_AFTER_S = 30.0
"""Longer than checking a large outbox at the start takes; an outage of the broker is no reason to be stuck."""
FLUSH_WITHIN_S = 3.0


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """Everything the uplink is told."""

    link: LinkSettings
    topics: Topics
    outbox_path: Path
    quota_bytes: int = DEFAULT_QUOTA_BYTES
    acknowledge: Literal["broker", "end-to-end"] = "broker"
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

    def __init__(
        self,
        settings: UplinkSettings,
        on_accepted: Callable[[Sequence[Spool], Sequence[result.Spool]], None] | None = None,
    ) -> None:
        """`on_accepted` is called in the uplink thread with events that have become durable, and their places."""
        self._ready = threading.Condition()
        self.mailbox: Mailbox[Outgoing] = Intake(4096, self._ready)
        self.incoming: Mailbox[Incoming] = Mailbox(256)
        self._settings = settings
        self._on_accepted = on_accepted
        self._end_to_end = settings.acknowledge == "end-to-end"
        topics = settings.topics
        self._acknowledged = topics.acknowledged("+")
        subscriptions = settings.subscriptions + ((self._acknowledged,) if self._end_to_end else ())
        self._inbox: Mailbox[Incoming] = Mailbox(256, self._ready)
        greeting = Greeting(topics.available, b"offline", subscriptions)
        self._link = Link(settings.link, greeting, self._inbox, self._ready)
        drain_per_s = UNLIMITED_PER_S if self._end_to_end else settings.drain_per_s
        self._sender = Sender(self._link, Post(topics.available, b"online", qos=1, retain=True), drain_per_s)
        self._outbox = Outbox(settings.outbox_path, settings.quota_bytes)
        self._open = False
        self._outbox_trouble = ""
        self._reopen = Backoff(0.5, 30.0)
        self._reopen_at_s = 0.0
        self._random = Random()  # noqa: S311  # spreads load, guards nothing
        self._pace = Pace(SYNCS_PER_S, at_once=SYNCS_AT_ONCE)
        self._batch: list[Spool] = []
        self._not_accepted = 0
        self._write_at_s = self._tidy_at_s = self._settle_at_s = 0.0
        self._noted_s = time.monotonic()
        self._came = 0
        self._figures = UplinkFigures()
        self._progress_ns = time.monotonic_ns()

    def claim(self) -> None:
        """Make sure that no other process uses this outbox. Raises OutboxError; `run` would only say so in health."""
        self._outbox.claim()

    def figures(self) -> UplinkFigures:
        """The newest picture, some tenths of a second old. Any thread."""
        return self._figures

    def stuck(self, now_ns: int) -> bool:
        """Whether the thread has stopped turning. A broker or a disk that is away is no reason."""
        return now_ns - self._progress_ns > STUCK_AFTER_S * 1e9

    def run(self, stopping: threading.Event) -> None:
        """Until `stopping` is set; then what can go out goes out, and the broker hears `stopped`."""
        try:
            while not stopping.is_set():
                self._wait()
                self._turn(time.monotonic())
            self._finish()
        finally:
            self._link.finish(within_s=0.0)
            self._close_outbox()

    # One turn.

    def _wait(self) -> None:
        now_s = time.monotonic()
        patience_s = min(TIDY_EVERY_S, max(0.0, self._tidy_at_s - now_s))
        if self._batch and self._open:
            patience_s = min(patience_s, self._pace.wait_s(now_s))
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
        self._hear(now_s)
        self._take(now_s)
        try:
            self._keep(now_s)
            self._sender.send(now_s)
            if now_s >= self._write_at_s:
                self._write_at_s = now_s + ACKNOWLEDGE_EVERY_S
                self._write_down(now_s)
            if now_s >= self._tidy_at_s:
                self._tidy_at_s = now_s + TIDY_EVERY_S
                self._tidy(now_s)
        except OutboxError as e:
            self._lose_outbox(e, now_s)

    def _hear(self, now_s: float) -> None:
        try:
            for event in self._link.events(now_s):
                if isinstance(event, Acknowledged):
                    self._sender.answered(event, now_s)
                elif isinstance(event, Up):
                    self._sender.connected(event, now_s)
                else:
                    self._sender.disconnected(event, self._outbox if self._open else None, now_s)
        except OutboxError as e:
            self._lose_outbox(e, now_s)
        for incoming in self._inbox.take_all(timeout_s=0):
            if self._end_to_end and incoming.topic.startswith(self._acknowledged[:-1]):
                self._confirm(incoming, now_s)
            else:
                self.incoming.put(incoming)

    def _confirm(self, incoming: Incoming, now_s: float) -> None:
        """A collector says how far it has stored a stream."""
        name = incoming.topic[len(self._acknowledged) - 1 :]
        try:
            document = json.loads(incoming.payload)
            epoch, seq = document["epoch"], document["seq"]
        except (ValueError, KeyError, TypeError, RecursionError):
            epoch, seq = None, None
        if not isinstance(epoch, str) or type(seq) is not int:
            logger.warning('%s: not {"epoch": "…", "seq": n}: ignored', incoming.topic)
        elif self._sender.streams is not None and not self._sender.streams.confirm(name, epoch, seq, now_s):
            logger.info("%s: nothing of epoch %s up to %d was ever sent: ignored", incoming.topic, epoch, seq)

    def _take(self, now_s: float) -> None:
        for item in self.mailbox.take_all(timeout_s=0, most=4 * GROUP):
            if isinstance(item, Spool):
                self._batch.append(item)
            else:
                self._sender.post(_encoded(item), now_s)
        if len(self._batch) > WAITING_FOR_OUTBOX:
            self._not_accepted += len(self._batch) - WAITING_FOR_OUTBOX
            del self._batch[:-WAITING_FOR_OUTBOX]

    def _keep(self, now_s: float) -> None:
        """Commit the batch when it is time: at once for a lone event, in groups for a flood."""
        if not self._open and now_s >= self._reopen_at_s:
            self._open_outbox(now_s)
        while self._open and self._batch and (len(self._batch) >= GROUP or self._pace.wait_s(now_s) <= 0):
            group = self._batch[:GROUP]
            places = self._outbox.append([_entry(item) for item in group])
            del self._batch[: len(group)]
            self._came += len(group)
            self._pace.spend()
            if self._sender.streams is not None:
                self._sender.streams.look()
            if self._on_accepted is not None:
                self._on_accepted(group, places)

    def _write_down(self, now_s: float) -> None:
        if self._sender.streams is not None:
            self._sender.streams.write_down(now_s)

    def _tidy(self, now_s: float) -> None:
        if self._sender.streams is not None:
            self._sender.streams.tidy(now_s, self._sender.heard_s)
            for gap in self._outbox.gaps():
                self._outbox.announce(gap, self._announcement(gap))
                self._sender.streams.look()
            if now_s >= self._settle_at_s:
                self._settle_at_s = now_s + SETTLE_EVERY_S
                self._outbox.settle()
        self._figures = self._picture()
        self._note_incoming(now_s)

    def _note_incoming(self, now_s: float) -> None:
        """Events a second, averaged over about a second."""
        ramp = self._sender.ramp
        per_s = self._came / max(TIDY_EVERY_S, now_s - self._noted_s)
        ramp.incoming_per_s += 0.25 * (per_s - ramp.incoming_per_s)
        self._came = 0
        self._noted_s = now_s

    def _announcement(self, gap: Dropped) -> Callable[[result.Spool], bytes]:
        document = result.Gap(
            device=self._settings.topics.device,
            first=gap.first,
            last=gap.last,
            count=gap.count,
            reason=gap.reason,
            at=result.utc(time.time_ns()),
        )

        def encode(spool: result.Spool) -> bytes:
            epoch = None if gap.epoch == spool.epoch else gap.epoch
            return result.to_json(replace(document, epoch=epoch, spool=spool))

        return encode

    # The outbox, which may be unusable for a while.

    def _open_outbox(self, now_s: float) -> None:
        try:
            self._outbox.open()
        except OutboxError as e:
            self._lose_outbox(e, now_s)
            return
        self._open = True
        self._outbox_trouble = ""
        self._reopen.reset()
        self._sender.streams = Streams(
            self._outbox,
            end_to_end=self._end_to_end,
            require_subscriber=self._settings.require_subscriber,
            linger_s=self._settings.linger_s,
            random=self._random,
        )

    def _lose_outbox(self, error: OutboxError, now_s: float) -> None:
        """Go on without: live results still go out, events wait in memory for a while."""
        wait_s = self._reopen.next_s()
        if str(error) != self._outbox_trouble:
            logger.error("%s; next attempt in %.1f s", error, wait_s)
        self._outbox_trouble = str(error)
        self._reopen_at_s = now_s + wait_s
        self._close_outbox()

    def _close_outbox(self) -> None:
        self._sender.streams = None
        if self._open:
            self._open = False
            self._outbox.close()

    # The end.

    def _finish(self) -> None:
        """Everything handed over becomes durable, what the broker takes in time goes out, then we say goodbye."""
        deadline_s = time.monotonic() + FLUSH_WITHIN_S
        self.mailbox.close()
        while len(self.mailbox) > 0 or self._batch:
            self._pace = Pace(SYNCS_PER_S, at_once=1000)
            self._turn(time.monotonic())
            if time.monotonic() > deadline_s:
                break
        while time.monotonic() < deadline_s and not self._done():
            self._wait_for_answers()
            self._turn(time.monotonic())
        if self._link.up is not None:
            self._sender.post(Post(self._settings.topics.available, b"stopped", 1, retain=True), time.monotonic())
            while self._link.up is not None and time.monotonic() < deadline_s + 1.0:
                self._turn(time.monotonic())
                if not self._sender.in_flight:
                    break
                self._wait_for_answers()
        self._link.finish(within_s=1.0)

    def _done(self) -> bool:
        streams = self._sender.streams
        nothing_left = (streams is None or streams.idle) and not self._sender.in_flight
        return self._link.up is None or nothing_left

    def _wait_for_answers(self) -> None:
        with self._ready:
            self._ready.wait_for(lambda: self._link.has_events, ACKNOWLEDGE_EVERY_S)

    def _picture(self) -> UplinkFigures:
        figures = self._outbox.figures() if self._open else OutboxFigures()
        streams = self._sender.streams
        alarms = self._link.deaf | self._sender.alarms | (streams.alarms if streams is not None else {})
        words = [f"{topic}: {text}" for topic, text in alarms.items()]
        words += [text for text in (self._outbox_trouble, figures.damage) if text]
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
            intake_dropped=self.mailbox.dropped + self._not_accepted,
            incoming_dropped=self.incoming.dropped + self._inbox.dropped,
            epoch=figures.epoch,
        )


def _encoded(item: Publish) -> Post:
    document = item.document
    payload = bytes(document) if isinstance(document, bytes | bytearray) else result.to_json(document)
    return Post(item.topic, payload, item.qos, item.retain, item.expires_s, item.response_to)


def _entry(item: Spool) -> Entry:
    document = item.document

    def encode(spool: result.Spool) -> bytes:
        return result.to_json(replace(document, spool=spool))

    return Entry(item.stream, item.topic, item.priority, encode)
