"""Leaves a service alone that does not answer, and tries it again with single questions. Pure: the time is given."""

from __future__ import annotations

from typing import Literal, TypeAlias

from appliance.backoff import Backoff

State: TypeAlias = Literal["closed", "half-open", "open"]

FAILURES_TO_OPEN = 3
PROBES_TO_CLOSE = 2
REST_FIRST_S, REST_MOST_S = 0.5, 15.0


class Breaker:
    """`closed`: ask. `open`: do not. `half-open`: one question at a time, until so many were answered in a row.

    Every question that `allows` let through is announced with `asked`, and ends with one of `answered`, `failed` and
    `withdrawn`, which get what `asked` gave. Questions from before it opened are past history: how they end changes
    nothing any more.
    """

    def __init__(self, backoff: Backoff | None = None) -> None:
        self.opened = 0
        """How often it has opened, ever."""
        self.words = ""
        """Why it is not closed."""
        self._backoff = backoff or Backoff(REST_FIRST_S, REST_MOST_S)
        self._state: State = "closed"
        self._failures = 0
        self._proved = 0
        self._out = 0
        """Questions asked since it last opened that have not ended."""
        self._until_s = 0.0

    def state(self, now_s: float) -> State:
        if self._state == "open" and now_s >= self._until_s:
            self._state, self._proved = "half-open", 0
        return self._state

    def allows(self, now_s: float) -> bool:
        """Whether a question may go out now."""
        state = self.state(now_s)
        return state == "closed" or (state == "half-open" and self._out == 0)

    def asked(self) -> int:
        """A question goes out."""
        self._out += 1
        return self.opened

    def answered(self, since: int, now_s: float) -> None:
        """It was answered in time."""
        if not self._ends(since):
            return
        self._failures = 0
        if self.state(now_s) == "half-open":
            self._proved += 1
            if self._proved >= PROBES_TO_CLOSE:
                self._state, self.words = "closed", ""
                self._backoff.reset()

    def failed(self, since: int, words: str, now_s: float) -> None:
        """It was refused, or nothing came in time."""
        if not self._ends(since):
            return
        self._failures += 1
        if self.state(now_s) == "half-open" or self._failures >= FAILURES_TO_OPEN:
            self._state, self.words = "open", words
            self._until_s = now_s + self._backoff.next_s()
            self._failures = self._out = 0
            self.opened += 1

    def withdrawn(self, since: int) -> None:
        """It was not sent after all, or its refusal says nothing of the service."""
        self._ends(since)

    def _ends(self, since: int) -> bool:
        if since != self.opened:
            return False
        self._out -= 1
        return True

    def hurry(self, now_s: float) -> None:
        """There is news of the service: it is tried at once."""
        if self._state == "open":
            self._until_s = now_s

    def wakes_s(self) -> float | None:
        """When it will be half-open; None unless it is open."""
        return self._until_s if self._state == "open" else None
