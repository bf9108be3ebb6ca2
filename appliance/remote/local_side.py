"""The local engine as the router sees it: how it is, whether it can be counted on, and what it was given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from appliance.remote.lane import LocalAnswer, RoutedLane
from appliance.remote.open_sample import OpenSample
from appliance.remote.trust import Trust, too_hot
from appliance.router import Engine
from engines.engine import EngineError


@dataclass(frozen=True, slots=True)
class EngineStanding:
    state: Engine
    words: str
    """Why it is not ready; empty when it is."""


class LocalSide:
    """Of the router's thread."""

    def __init__(
        self,
        lane: RoutedLane,
        standing: Callable[[], EngineStanding],
        budget_s: float,
        hottest_c: float | None,
        celsius: Callable[[], float | None],
    ) -> None:
        """`standing` and `celsius` read what other threads know, and never wait."""
        self.trust = Trust(budget_s)
        self.late = 0
        """Answers after the deadline of their sample: counted, never published."""
        self.unused = 0
        """Answers in time to samples that had their result by then."""
        self._lane = lane
        self._standing = standing
        self._budget_ns = int(budget_s * 1e9)
        self._hottest_c = hottest_c
        self._celsius = celsius
        self._hot = False
        self._given: dict[int, OpenSample] = {}
        """By the identity of the sample, which the lane hands back."""

    @property
    def standing(self) -> EngineStanding:
        return self._standing()

    def hot_c(self) -> float | None:
        """The temperature, while it is too high."""
        celsius = self._celsius()
        self._hot = too_hot(self._hot, celsius, self._hottest_c)
        return celsius if self._hot else None

    @property
    def idle(self) -> bool:
        """It has answered all it was given."""
        return not self._given

    def give(self, entry: OpenSample, now_ns: int) -> None:
        """For its next run. Where only the newest waits, the one that waited is taken back."""
        if not self._lane.has_room:
            sample = self._lane.take_back()
            waiting = self._given.pop(id(sample), None)
            if waiting is not None:
                waiting.with_engine = False
        self._given[id(entry.sample)] = entry
        entry.given_ns, entry.with_engine = now_ns, True
        self._lane.give(entry.sample)

    @property
    def can_help(self) -> bool:
        """Whether it may be given a sample that it was not chosen for: it takes nothing from one that it was."""
        return self._standing().state == "ready" and (self.idle or (self.trust.trusted and self._lane.has_room))

    @property
    def has_room(self) -> bool:
        return self._lane.has_room

    def is_overdue(self, entry: OpenSample, now_ns: int) -> bool:
        """Whether its answer is overdue since just now; that costs trust."""
        if not entry.with_engine or entry.over_budget or now_ns < self.due_ns(entry):
            return False
        entry.over_budget = True
        self.trust.late(now_ns / 1e9)
        return True

    def due_ns(self, entry: OpenSample) -> int:
        """When the engine should have answered this sample, which it was given."""
        assert entry.given_ns is not None
        return entry.given_ns + self._budget_ns

    def take(self, told: LocalAnswer, now_ns: int) -> OpenSample | None:
        """The open sample that an answer belongs to; None when it comes too late, or is not needed any more."""
        entry = self._given.pop(id(told.sample), None)
        if entry is None:
            return None
        entry.with_engine = False
        assert entry.given_ns is not None
        now_s = now_ns / 1e9
        late = told.served.done_ns > entry.deadline_ns
        if not isinstance(told.answer, EngineError):
            self.trust.ran((told.served.done_ns - entry.given_ns) / 1e9, now_s)
            self.late += late
            self.unused += not late and entry.ending is not None
        elif told.served.engine != "none":  # without an engine nothing was tried
            entry.engine_words = str(told.answer)
            self.trust.failed(str(told.answer), now_s)
        return None if late or entry.ending is not None else entry
