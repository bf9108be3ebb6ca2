"""The questions that wait for an answer: each ends exactly once, with what came or with the word that nothing did."""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from appliance.questions.question import Question, Refused, Reply

Outcome: TypeAlias = Reply | Refused
Take: TypeAlias = Callable[[Outcome], None]
Ending: TypeAlias = Literal["answered", "refused", "expired"]
Stray: TypeAlias = Literal["late", "repeated", "foreign"]
"""An answer that nobody waits for: its question expired or was given up, has an answer, or never was ours."""

REMEMBERED = 4096
"""Questions that have ended whose ids are kept, to tell what a stray answer is."""
ROUND_TRIPS = 256
"""Newest answers from which percentiles are made."""


@dataclass(slots=True, eq=False)
class _Open:
    question: Question
    take: Take
    sent_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class Ended:
    """A question that is open no more, and what its asker has to be told."""

    take: Take
    outcome: Outcome

    def tell(self) -> None:
        self.take(self.outcome)


@dataclass(frozen=True, slots=True)
class RoundTrips:
    """How long the newest answers took, from the publish to the answer; all None before the first."""

    p50_ms: float | None = None
    p95_ms: float | None = None
    link_p50_ms: float | None = None
    """Without what the service says it spent: two ways, the broker, and coding."""


class OpenQuestions:
    """Not locked: its owner is, and tells what has ended once it has let go of its lock: whoever is told may ask again.

    Each question is given back as ended exactly once. Times are of `time.monotonic_ns()`.
    """

    def __init__(self) -> None:
        self.ended: dict[Ending, int] = {"answered": 0, "refused": 0, "expired": 0}
        self.strays: dict[Stray, int] = {"late": 0, "repeated": 0, "foreign": 0}
        self._open: dict[str, _Open] = {}
        self._deadlines: list[tuple[int, str]] = []
        """A heap; what ended early stays in it until its time."""
        self._past: OrderedDict[str, bool] = OrderedDict()
        """Id of a question that has ended: whether by an answer of the service."""
        self._trips: deque[tuple[float, float]] = deque(maxlen=ROUND_TRIPS)

    def __len__(self) -> int:
        return len(self._open)

    def __contains__(self, question_id: str) -> bool:
        return question_id in self._open

    def add(self, question: Question, take: Take, now_ns: int) -> None:
        """It was sent just now. Its id must be new."""
        assert question.id not in self._open, f"question {question.id} is asked twice"
        self._open[question.id] = _Open(question, take, now_ns)
        heapq.heappush(self._deadlines, (question.deadline_ns, question.id))

    def asked(self, question_id: str) -> Question | None:
        """The open question of this id."""
        found = self._open.get(question_id)
        return None if found is None else found.question

    def answer(self, question_id: str, outcome: Outcome, now_ns: int) -> Ended | None:
        """An answer has come, whenever; only one in time ends an open question."""
        found = self._open.get(question_id)
        if found is None:
            answered = self._past.get(question_id)
            self.strays["foreign" if answered is None else "repeated" if answered else "late"] += 1
            return None
        if now_ns > found.question.deadline_ns:  # `expire` is about to end it
            self.strays["late"] += 1
            return None
        if isinstance(outcome, Reply):
            trip_ms = (now_ns - found.sent_ns) / 1e6
            self._trips.append((trip_ms, max(0.0, trip_ms - outcome.queue_ms - outcome.infer_ms)))
        return self._end(question_id, outcome, "answered" if isinstance(outcome, Reply) else "refused", by_service=True)

    def refuse(self, question_id: str, refusal: Refused) -> Ended | None:
        """It will not be answered, and we know; None for a question that has ended."""
        if question_id not in self._open:
            return None
        return self._end(question_id, refusal, "refused", by_service=False)

    def expire(self, now_ns: int) -> list[Ended]:
        """End every question whose time is over."""
        over = []
        while self._deadlines and self._deadlines[0][0] <= now_ns:
            _, question_id = heapq.heappop(self._deadlines)
            if question_id in self._open:
                refusal = Refused("expired", "no answer came in time")
                over.append(self._end(question_id, refusal, "expired", by_service=False))
        return over

    def refuse_all(self, refusal: Refused) -> list[Ended]:
        """End whatever is open."""
        return [self._end(question_id, refusal, "refused", by_service=False) for question_id in list(self._open)]

    def next_deadline_ns(self) -> int | None:
        """When `expire` has to be called; None while nothing is open."""
        while self._deadlines and self._deadlines[0][1] not in self._open:
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def round_trips(self) -> RoundTrips:
        """Percentiles of the newest answers."""
        if not self._trips:
            return RoundTrips()
        trips = sorted(trip for trip, _ in self._trips)
        links = sorted(link for _, link in self._trips)
        return RoundTrips(
            p50_ms=round(trips[len(trips) // 2], 2),
            p95_ms=round(trips[len(trips) * 95 // 100], 2),
            link_p50_ms=round(links[len(links) // 2], 2),
        )

    def _end(self, question_id: str, outcome: Outcome, ending: Ending, *, by_service: bool) -> Ended:
        found = self._open.pop(question_id)
        self.ended[ending] += 1
        self._past[question_id] = by_service
        if len(self._past) > REMEMBERED:
            self._past.popitem(last=False)
        return Ended(found.take, outcome)
