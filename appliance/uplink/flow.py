"""Where the sending of one stream stands: what may go next, what is on its way, what the receiver has.

No clock, no socket, no disk: times are given, documents come from a function.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from random import Random

from appliance.backoff import Backoff
from appliance.mqtt.reasons import Verdict
from appliance.outbox.rows import Kept, Stream

MOST_REFUSALS = 10
"""A document that a broker refuses so often, saying neither why nor that it is busy, goes to the dead letters."""

LINGERING = 1100
"""Most acknowledged documents that are sent again: more than this no broker queues for a subscriber by default
(mosquitto: max_queued_messages 1000 and 20 in flight)."""

LOSSES = 2
"""After so many losses of the connection in a row what was acknowledged in between counts: a line that breaks every
second would otherwise carry the same documents for ever."""

WAITS_S: Mapping[Verdict, tuple[float, float]] = {
    Verdict.NOBODY_LISTENS: (0.1, 1.0),
    Verdict.FORBIDDEN: (5.0, 60.0),
    Verdict.BUSY: (0.5, 10.0),
    Verdict.UNEXPLAINED: (0.5, 10.0),
}
"""First and longest wait until a stream is tried again."""


class Flow:
    """Sends in the order of the stream.

    After every connect, and after every refusal, one document at a time is on its way until one is taken: a window full
    of messages could be refused in its first half and taken in its second, which a receiver would see as disorder.
    """

    def __init__(self, stream: Stream, *, end_to_end: bool, require_subscriber: bool, random: Random) -> None:
        self.stream = stream.number
        self.name = stream.name
        self.epoch = stream.epoch
        self.end_to_end = end_to_end
        self.acknowledged = stream.acknowledged
        """The receiver has everything up to here, as far as it is known."""
        self.attempt = 0
        """Answers to an earlier attempt say nothing about this one."""
        self.refused: Verdict | None = None
        """Why nothing is taken at the moment."""
        self.resent = 0
        self.older_than_connection = stream.last
        """Documents up to this one were accepted before the present connection."""
        self._require_subscriber = require_subscriber
        self._random = random
        self._sent = stream.acknowledged
        self._highest_sent = stream.acknowledged
        self._ready: deque[Kept] = deque()
        self._flying: dict[int, bool] = {}
        self._void = 0
        self._probing = True
        self._wait_until_s = 0.0
        self._backoffs = {verdict: Backoff(*waits, random) for verdict, waits in WAITS_S.items()}
        self._refusals = 0
        self._passed: deque[tuple[float, int]] = deque()
        self._safe = stream.acknowledged
        self._before_losses: deque[int] = deque(maxlen=LOSSES)
        self._silent_since_s: float | None = None

    @property
    def unconfirmed(self) -> int:
        """Documents given to the broker and not acknowledged, at most: some may have been dropped in between."""
        return self._sent - self.acknowledged

    def idle(self, last: int) -> bool:
        """Whether nothing more can be sent now: nobody takes it, or all up to `last` was sent and answered."""
        return self.refused is not None or (self._sent >= last and not self._flying)

    # Sending.

    def next(self, now_s: float, last: int, read: Callable[[int], list[Kept]]) -> Kept | None:
        """The document to send now, if any. `last` is the stream's highest number, `read` gives what follows one."""
        if now_s < self._wait_until_s or self._void or (self._probing and self._flying):
            return None
        if not self._ready and self._sent < last:
            self._ready.extend(read(self._sent))
            if not self._ready:
                self._sent = last  # the rest was dropped meanwhile
                self._settle()
        return self._ready[0] if self._ready else None

    def took(self, kept: Kept) -> None:
        """It is on its way."""
        self._ready.popleft()
        self._sent = kept.seq
        self._flying[kept.seq] = False
        if kept.seq <= self._highest_sent:
            self.resent += 1
        self._highest_sent = max(self._highest_sent, kept.seq)

    def restart(self, last: int) -> None:
        """A new connection: everything that is not acknowledged is sent again."""
        self._rewind(self.acknowledged)
        self._void = 0
        self._wait_until_s = 0.0
        self.older_than_connection = last

    def _rewind(self, seq: int) -> None:
        self.attempt += 1
        self._void += sum(not done for done in self._flying.values())
        self._sent = seq
        self._ready.clear()
        self._flying.clear()
        self._probing = True

    def skip(self, seq: int) -> None:
        """This one will not be sent; what the outbox did with it is known there."""
        if self._ready and self._ready[0].seq == seq:
            self._ready.popleft()
            self._sent = seq
        self._flying[seq] = True
        self._settle()

    # Answers of the broker.

    def answered(self, seq: int, attempt: int, verdict: Verdict, now_s: float) -> bool:
        """Take in the broker's answer; True when the document should go to the dead letters (then `skip` it)."""
        if attempt != self.attempt:
            self._void -= 1
            return False
        if verdict is Verdict.NOBODY_LISTENS and not self._require_subscriber:
            verdict = Verdict.DONE
        if verdict is Verdict.DONE:
            self._taken(seq, now_s)
            return False
        if verdict is Verdict.UNACCEPTABLE:
            return True
        self._refusals = self._refusals + 1 if verdict is Verdict.UNEXPLAINED else 0
        if self._refusals >= MOST_REFUSALS:
            self._refusals = 0
            return True
        self.refused = verdict
        first = next(iter(self._flying))
        del self._flying[seq]
        self._rewind(first - 1)
        self._wait_until_s = now_s + self._backoffs[verdict].next_s()
        return False

    def _taken(self, seq: int, now_s: float) -> None:
        self._probing = False
        self.refused = None
        self._refusals = 0
        for backoff in self._backoffs.values():
            backoff.reset()
        self._flying[seq] = True
        self._silent_since_s = now_s
        self._settle()

    def _settle(self) -> None:
        """Move `acknowledged` over everything at the front that is done."""
        done = self.acknowledged
        while self._flying:
            first = next(iter(self._flying))
            if not self._flying[first]:
                break
            del self._flying[first]
            done = first
        if not self._flying and not self._ready:
            done = max(done, self._sent)
        if not self.end_to_end:
            self.acknowledged = max(self.acknowledged, done)

    # What the receiver has.

    def confirm(self, seq: int, now_s: float) -> None:
        """The collector has stored everything up to here."""
        if seq > self.acknowledged:
            self.acknowledged = seq
            self._silent_since_s = now_s
            while self._ready and self._ready[0].seq <= seq:
                self._sent = self._ready.popleft().seq
            if not self._ready and not self._flying:
                self._sent = max(self._sent, seq)

    def resend_if_silent(self, now_s: float, after_s: float) -> bool:
        """The broker took it, the collector confirms nothing for so long: whether it is now sent again."""
        if self._flying or self._silent_since_s is None or self.acknowledged >= self._sent:
            return False
        if now_s <= self._silent_since_s + after_s:
            return False
        self._silent_since_s = now_s
        self._rewind(self.acknowledged)
        return True

    def note_passed(self, now_s: float) -> None:
        """`acknowledged` has been written down now."""
        self._passed.append((now_s, self.acknowledged))

    def safe(self, until_s: float) -> int:
        """Everything up to here was acknowledged before `until_s`: the receiver will not lose it any more."""
        while self._passed and self._passed[0][0] <= until_s:
            self._safe = self._passed.popleft()[1]
        self._safe = max(self._safe, self.acknowledged - LINGERING)
        return self._safe

    def lose(self, since_s: float) -> int:
        """The broker may have lost what it acknowledged after `since_s`; gives the new `acknowledged`."""
        if not self.end_to_end:
            sent_often = self._before_losses[0] if len(self._before_losses) == LOSSES else 0
            self._before_losses.append(self.acknowledged)
            self.acknowledged = min(self.acknowledged, max(self.safe(since_s), sent_often))
        self._passed.clear()
        return self.acknowledged
