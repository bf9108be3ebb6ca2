"""Every stream of the outbox on its way to the broker: in turn, each in its own order, acknowledged, then released."""

from __future__ import annotations

import logging
from collections import deque
from random import Random

from appliance.mqtt.reasons import Verdict, puback_words, verdict
from appliance.outbox.outbox import Outbox
from appliance.outbox.rows import Kept
from appliance.uplink.flow import Flow

logger = logging.getLogger(__name__)

READ_AT_ONCE = 64
READ_BYTES = 256 << 10
KEPT_WITHOUT_SIGN_S = 15.0
"""Longest that an acknowledged document is kept when the broker says nothing more: one keep-alive period."""
MOST_UNCONFIRMED = 900
"""On their way to a collector: less than a broker queues for it by default (1000), so that none is thrown away."""
LEAST_UNCONFIRMED = 10
UNCONFIRMED_S = 5.0
"""The broker took it, the collector confirms nothing for so long: it may have been thrown away in between. Then it is
sent again, and half as much at a time: that broker's queue may be shorter."""
WIDER_AFTER_S = 60.0
"""After so long without such a loss twice as much at a time is tried again."""


class Streams:
    """Over an open outbox; its methods may raise OutboxError.

    With `end_to_end`, what the broker took stays in the outbox until a collector confirms it. Without, it stays for
    `linger_s`: a broker that dies loses what it had acknowledged and not yet delivered, and then it is sent again.
    """

    def __init__(
        self, outbox: Outbox, *, end_to_end: bool, require_subscriber: bool, linger_s: float, random: Random
    ) -> None:
        self.alarms: dict[str, str] = {}
        """What a person should know, by topic."""
        self.resent = 0
        self._outbox = outbox
        self._end_to_end = end_to_end
        self._require_subscriber = require_subscriber
        self._linger_s = linger_s
        self._random = random
        self._most_unconfirmed = MOST_UNCONFIRMED
        self._widen_at_s = 0.0
        self._flows: dict[int, Flow] = {}
        self._turns: deque[Flow] = deque()
        outbox.put_down()
        self._arrange()

    def look(self) -> None:
        """Documents were appended: there may be a new stream."""
        if self._outbox.stream_count != len(self._flows):
            self._arrange()

    def _arrange(self) -> None:
        """Whose turn it can be: every stream, but of a name only the oldest epoch that is not sent whole."""
        taken = set()
        turns = []
        for stream in self._outbox.streams():
            if stream.number not in self._flows:
                self._flows[stream.number] = Flow(
                    stream,
                    end_to_end=self._end_to_end,
                    require_subscriber=self._require_subscriber,
                    random=self._random,
                )
            if stream.name not in taken and (stream.stored or stream.epoch == self._outbox.epoch):
                taken.add(stream.name)
                turns.append(self._flows[stream.number])
        self._turns = deque(turns)

    def next(self, now_s: float) -> tuple[Flow, Kept] | None:
        """The document to send now, from the stream whose turn it is."""
        if self._end_to_end and sum(flow.unconfirmed for flow in self._turns) >= self._most_unconfirmed:
            return None
        for _ in range(len(self._turns)):
            flow = self._turns[0]
            self._turns.rotate(-1)

            def read(after: int, number: int = flow.stream) -> list[Kept]:
                return self._outbox.read(number, after, most=READ_AT_ONCE, most_bytes=READ_BYTES)

            kept = flow.next(now_s, self._outbox.stream(flow.stream).last, read)
            if kept is not None:
                return flow, kept
        return None

    def connected(self) -> None:
        """Everything unacknowledged is sent, from its beginning."""
        self.alarms.clear()
        for flow in self._flows.values():
            flow.restart(self._outbox.stream(flow.stream).last)

    def disconnected(self, heard_s: float) -> None:
        """The broker, last heard at `heard_s`, may have died: count what it took shortly before as unsent."""
        self._outbox.put_down()
        for number, flow in self._flows.items():
            acknowledged = flow.lose(heard_s - self._linger_s)
            if acknowledged < self._outbox.stream(number).acknowledged:
                self._outbox.rewind(number, acknowledged)
            flow.restart(self._outbox.stream(number).last)
        self._arrange()

    def answered(self, flow: Flow, kept: Kept, attempt: int, code: int, now_s: float) -> None:
        """The broker answered a document."""
        if flow.answered(kept.seq, attempt, verdict(code), now_s):
            self.bury(flow, kept, puback_words(code))
        elif flow.refused in (Verdict.FORBIDDEN, Verdict.BUSY, Verdict.UNEXPLAINED):
            words = puback_words(code)
            if self.alarms.get(kept.topic) != words:
                logger.error("%s: %s; it is kept and tried again", kept.topic, words)
            self.alarms[kept.topic] = words
        elif flow.refused is None:
            self.alarms.pop(kept.topic, None)

    def bury(self, flow: Flow, kept: Kept, reason: str) -> None:
        """This document will never be taken: out of the way with it."""
        logger.error("%s: document %d of stream %s is a dead letter: %s", kept.topic, kept.seq, flow.name, reason)
        self._outbox.bury(kept.stream, kept.seq, reason)
        flow.skip(kept.seq)

    def confirm(self, name: str, epoch: str, seq: int, now_s: float) -> bool:
        """A collector has stored a stream up to `seq`. False when that cannot be."""
        for flow in self._flows.values():
            if (flow.name, flow.epoch) == (name, epoch) and 0 <= seq <= self._outbox.stream(flow.stream).last:
                flow.confirm(seq, now_s)
                return True
        return False

    def write_down(self, now_s: float) -> None:
        """Note in the outbox how far the receiver has each stream, so that a restart sends nothing twice."""
        moved = {
            number: flow.acknowledged
            for number, flow in self._flows.items()
            if flow.acknowledged > self._outbox.stream(number).acknowledged
        }
        if moved:
            self._outbox.acknowledge(moved)
            for number in moved:
                self._flows[number].note_passed(now_s)
            if any(self._outbox.stream(number).epoch != self._outbox.epoch for number in moved):
                self._arrange()

    def tidy(self, now_s: float, heard_s: float) -> None:
        """Delete what is safe, strike streams of older epochs that are done. To be called a few times a second."""
        if self._end_to_end:
            self._watch_collector(now_s)
        done = []
        for number, flow in self._flows.items():
            until_s = now_s if self._end_to_end else max(heard_s - self._linger_s, now_s - KEPT_WITHOUT_SIGN_S)
            self._outbox.release(number, flow.safe(until_s))
            stream = self._outbox.stream(number)
            if stream.epoch != self._outbox.epoch and not stream.stored and flow.safe(until_s) >= stream.acknowledged:
                done.append(number)
        for number in done:
            self.resent += self._flows.pop(number).resent
            self._outbox.forget(number)
        if done:
            self._arrange()

    def _watch_collector(self, now_s: float) -> None:
        silent = [flow for flow in self._flows.values() if flow.resend_if_silent(now_s, UNCONFIRMED_S)]
        if silent:
            self._most_unconfirmed = max(LEAST_UNCONFIRMED, self._most_unconfirmed // 2)
            self._widen_at_s = now_s + WIDER_AFTER_S
        elif now_s > self._widen_at_s:
            self._most_unconfirmed = min(MOST_UNCONFIRMED, self._most_unconfirmed * 2)
            self._widen_at_s = now_s + WIDER_AFTER_S

    @property
    def resends(self) -> int:
        """Documents sent more than once by this process."""
        return self.resent + sum(flow.resent for flow in self._flows.values())

    @property
    def idle(self) -> bool:
        """Whether nothing can be sent now: all was sent and answered, or nobody takes it."""
        return all(flow.idle(self._outbox.stream(flow.stream).last) for flow in self._turns)
