"""The model service as one routed pipeline sees it: whether it may be asked, and how it has answered."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from appliance.questions.question import Refused
from appliance.remote.breaker import Breaker
from appliance.remote.budget import Budget
from appliance.remote.inquirer import Inquirer, Inquiry
from appliance.remote.open_questions import Outcome
from appliance.remote.settings import PipelineRemote, Remote

ROUND_TRIPS = 64
ENOUGH_ROUND_TRIPS = 8
"""Before so many there is no 95th percentile to speak of."""
LEAST_HEDGE_S = 0.005
FIRST_SIZE = 50_000
"""What a question is thought to weigh before there was one, in bytes."""

OF_THE_QUESTION = ("malformed", "too-large")
"""Refusals that say nothing about the service."""


class Limits:
    """What all pipelines together may ask, by whole pictures and by stages. Any thread."""

    def __init__(self, settings: Remote, now_s: float) -> None:
        self._lock = threading.Lock()
        self._questions = Budget(settings.max_per_s, now_s)
        self._bytes = Budget(settings.max_kb_per_s * 1000, now_s)

    def unaskable(self, size: int, now_s: float) -> str:
        """Why a question of so many bytes may not be asked now; empty when it may."""
        with self._lock:
            return self._why_not(size, now_s)

    def take(self, size: int, now_s: float) -> str:
        """The same, and when it may, it counts as asked."""
        with self._lock:
            why_not = self._why_not(size, now_s)
            if not why_not:
                self._questions.spend(1, now_s)
                self._bytes.spend(size, now_s)
            return why_not

    def spend(self, questions: int, size: int, now_s: float) -> None:
        with self._lock:
            self._questions.spend(questions, now_s)
            self._bytes.spend(size, now_s)

    def _why_not(self, size: int, now_s: float) -> str:
        if not self._questions.allows(1, now_s):
            return "the device's questions for this second are used up"
        if not self._bytes.allows(size, now_s):
            return "the device's bytes for this second are used up"
        return ""


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """Milliseconds from the decision to ask until the answer; None before there were enough."""

    p50_ms: float | None = None
    p95_ms: float | None = None


class ServiceSide:
    """Of the router's thread."""

    def __init__(self, inquirer: Inquirer, model: str, settings: PipelineRemote, limits: Limits, now_s: float) -> None:
        """`model`: its name at the service."""
        self.model = model
        self.breaker = Breaker()
        self.asked = 0
        self.round_trips = RoundTrips()
        self._inquirer = inquirer
        self._limits = limits
        self._own = None if settings.max_per_s is None else Budget(settings.max_per_s, now_s)
        self._own_per_s = settings.max_per_s
        self._size = FIRST_SIZE
        self._trips: deque[float] = deque(maxlen=ROUND_TRIPS)
        self.standing = inquirer.standing(model)
        """Who was there when it was last looked at."""
        self._there: frozenset[str] = frozenset()

    def look(self, now_s: float) -> bool:
        """See who is there: whether that has changed. One that has come is tried at once, whatever those before did."""
        self.standing = self._inquirer.standing(self.model)
        there = frozenset(each.service for each in self.standing.offers) if self.standing.usable else frozenset()
        before, self._there = self._there, there
        if there - before:
            self.breaker.hurry(now_s)
        return there != before

    def unaskable(self, left_s: float, now_s: float) -> str:
        """Why a question is not allowed, or not worth its while, now; empty when it is."""
        standing = self.standing
        if not standing.usable:
            return standing.words
        if not self.breaker.allows(now_s):
            return f"the service is left alone for a moment ({self.breaker.words})"
        if self._own is not None and not self._own.allows(1, now_s):
            return f"{self._own_per_s:g} questions a second were asked"
        if why_not := self._limits.unaskable(self._size, now_s):
            return why_not
        soonest_ms = standing.offers[0].model.queue_ms + standing.offers[0].model.infer_ms
        if left_s * 1000 <= max(soonest_ms, self.round_trips.p50_ms or 0.0):
            return "there is no time left to ask"
        return ""

    def ask(self, inquiry: Inquiry, now_s: float) -> None:
        """Send it on its way; how it ends goes to `ended`, with what `breaker.opened` was before."""
        self.asked += 1
        self._limits.spend(1, 0, now_s)
        if self._own is not None:
            self._own.spend(1, now_s)
        self.breaker.asked()
        self._inquirer.inquire(inquiry)

    def ended(self, outcome: Outcome, since: int, asked_ns: int, size: int, now_ns: int) -> None:
        """Learn from how a question ended, `size` bytes in all."""
        now_s = now_ns / 1e9
        self._limits.spend(0, size, now_s)
        self._size = size or self._size
        if not isinstance(outcome, Refused):
            self._trips.append((now_ns - asked_ns) / 1e6)
            self._reckon()
            self.breaker.answered(since, now_s)
        elif outcome.code in OF_THE_QUESTION:
            self.breaker.withdrawn(since)
        else:
            self.breaker.failed(since, str(outcome), now_s)

    def _reckon(self) -> None:
        if len(self._trips) < ENOUGH_ROUND_TRIPS:
            return
        trips = sorted(self._trips)
        self.round_trips = RoundTrips(round(trips[len(trips) // 2], 2), round(trips[len(trips) * 95 // 100], 2))

    def hedge_ns(self, asked_ns: int, deadline_ns: int) -> int:
        """When a question that has no answer yet is a slow one: after the 95th percentile, or half of its time."""
        p95_ms = self.round_trips.p95_ms
        if p95_ms is None:
            return asked_ns + (deadline_ns - asked_ns) // 2
        return asked_ns + int(max(LEAST_HEDGE_S, p95_ms / 1000) * 1e9)

    @property
    def could_ask_another(self) -> bool:
        """Whether a second question can land at another service than the first."""
        return len(self.standing.offers) > 1
