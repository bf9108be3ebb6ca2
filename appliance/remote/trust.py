"""Whether the local engine can be counted on: lost at once, earned back slowly. Pure: the time is given.

This is the hysteresis between the two sides: without it a device at the edge of its budget would change sides with
every sample.
"""

from __future__ import annotations

FAILURES_TO_LOSE = 3
GOOD_TO_EARN = 3
REST_FIRST_S, REST_MOST_S = 1.0, 30.0
TRY_EVERY_S = 0.25
RELAPSE_WITHIN_S = 30.0
"""Trust that is lost again so soon takes twice as long to earn."""

COOLER_BY_C = 5.0
"""A device that was too hot counts as cool so far below its limit."""


class Trust:
    """Told of every run of the local engine."""

    def __init__(self, budget_s: float) -> None:
        self.words = ""
        """Why it is not trusted."""
        self.lost = 0
        """How often trust was lost, ever."""
        self._budget_s = budget_s
        self._trusted = True
        self._failures = 0
        self._good = 0
        self._rest_s = REST_FIRST_S
        self._lost_s = 0.0
        self._earned_s = float("-inf")
        self._tried_s = float("-inf")

    @property
    def trusted(self) -> bool:
        return self._trusted

    def due_for_a_try(self, now_s: float) -> bool:
        """Whether the engine, idle and not trusted, should get a sample to show what it can do."""
        return not self._trusted and now_s - self._tried_s >= TRY_EVERY_S

    def tried(self, now_s: float) -> None:
        """It was given one."""
        self._tried_s = now_s

    def ran(self, took_s: float, now_s: float) -> None:
        """It answered, `took_s` after it was given the sample."""
        if took_s > self._budget_s:
            self.late(now_s)
            return
        self._failures = 0
        if self._trusted:
            return
        self._good += 1
        if self._good >= GOOD_TO_EARN and now_s - self._lost_s >= self._rest_s:
            self._trusted, self._earned_s = True, now_s

    def late(self, now_s: float) -> None:
        """It has not answered in its budget."""
        self._lose(f"the local engine took more than {self._budget_s:g} s", now_s)

    def failed(self, words: str, now_s: float) -> None:
        """It could not answer. A single sample may be the one to blame."""
        self._failures += 1
        self._good = 0
        if self._failures >= FAILURES_TO_LOSE:
            self._lose(f"the local engine failed {self._failures} times in a row: {words}", now_s)

    def _lose(self, words: str, now_s: float) -> None:
        self._good, self.words = 0, words
        if not self._trusted:
            return
        relapsed = now_s - self._earned_s < RELAPSE_WITHIN_S
        self._rest_s = min(2 * self._rest_s, REST_MOST_S) if relapsed else REST_FIRST_S
        self._trusted, self._lost_s, self._tried_s = False, now_s, now_s
        self.lost += 1


def too_hot(before: bool, celsius: float | None, hottest_c: float | None) -> bool:
    """Whether the local engine is to be spared; `before`: whether it was. A device without a thermometer never is."""
    if celsius is None or hottest_c is None:
        return False
    return celsius >= (hottest_c - COOLER_BY_C if before else hottest_c)
