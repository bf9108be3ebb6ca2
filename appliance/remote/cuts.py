"""Where a model is cut between the device and the service, by what each cut was measured to cost. Pure: no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

WEIGHT = 0.2
"""Of the newest measurement in an average."""
CLEARLY_BETTER = 0.8
"""Another cut is taken when it costs at most this share of the present one,"""
STAY_S = 2.0
"""and the present one has been kept for so long."""
TRY_EVERY_S = 2.0
"""A cut whose cost is not known, or was measured long ago, gets a sample this often."""
STALE_S = 30.0
HOPELESS = 3.0
"""A cut that cost so many times the best is measured again much later only,"""
HOPELESS_STALE_S = 300.0
"""as it may have been a bad moment."""
FIRST_REST_S, LONGEST_REST_S = 1.0, 60.0
"""How long the service is left alone after it failed, doubled with every failure."""


@dataclass(slots=True)
class _Measured:
    """The first measurement is of something cold, and gives way to the second."""

    ms: float | None = None
    at_s: float = 0.0
    count: int = 0

    def add(self, ms: float, now_s: float) -> None:
        self.ms = ms if self.ms is None or self.count == 1 else self.ms + WEIGHT * (ms - self.ms)
        self.at_s = now_s
        self.count += 1


@dataclass(slots=True)
class Cuts:
    """At cut `k` the first `k` stages run here and the others there; at cut `stages` all run here.

    To be asked for every sample and told what it cost. Hysteresis and rests are in here, so that a cost that wavers
    does not make the place waver.
    """

    stages: int
    most: int | None = None
    """So many stages can run here; None: all."""
    _here: list[_Measured] = field(init=False)
    """By stage."""
    _there: list[_Measured] = field(init=False)
    """By cut: from the inputs of stage `k` to the outputs of the last, all the way to the service and back."""
    _most: int = field(init=False)
    _now: int = field(init=False)
    _since_s: float = field(init=False, default=float("-inf"))
    _tried_s: float = field(init=False, default=float("-inf"))
    _rest_s: float = field(init=False, default=FIRST_REST_S)
    _rests_until_s: float = field(init=False, default=float("-inf"))

    def __post_init__(self) -> None:
        self._here = [_Measured() for _ in range(self.stages)]
        self._there = [_Measured() for _ in range(self.stages)]
        self._most = self._now = self.stages if self.most is None else self.most

    def choose(self, now_s: float, askable: bool) -> int:
        """The cut for this sample. `askable`: whether there is a service to ask."""
        possible = self._possible(now_s, askable)
        if self._now not in possible:
            self._move(self._best(possible), now_s)
        if now_s >= self._tried_s + TRY_EVERY_S and (unknown := self._to_try(possible, now_s)) is not None:
            self._tried_s = now_s
            return unknown
        best, best_ms, now_ms = self._best(possible), *map(self.cost_ms, (self._best(possible), self._now))
        if best_ms is None or now_ms is None or best_ms > CLEARLY_BETTER * now_ms:
            return self._now
        if now_s >= self._since_s + STAY_S:
            self._move(best, now_s)
        return self._now

    def cost_ms(self, cut: int) -> float | None:
        """What a sample is expected to take at this cut; None while something of it has not been measured."""
        parts = self._parts(cut)
        known = [each.ms for each in parts if each.ms is not None]
        return sum(known) if len(known) == len(parts) else None

    def there_ms(self, cut: int) -> float | None:
        """What the service has taken lately for the stages from this cut on."""
        return self._there[cut].ms

    def ran_here(self, stage: int, ms: float, now_s: float) -> None:
        """A stage ran on this device."""
        self._here[stage].add(ms, now_s)

    def ran_there(self, cut: int, ms: float, now_s: float) -> None:
        """The service answered."""
        self._there[cut].add(ms, now_s)
        self._rest_s = FIRST_REST_S

    def failed_there(self, now_s: float) -> None:
        """It did not: leave it alone for a while."""
        self._rests_until_s = now_s + self._rest_s
        self._rest_s = min(2 * self._rest_s, LONGEST_REST_S)

    def _possible(self, now_s: float, askable: bool) -> list[int]:
        """Never none: with a stage that cannot run here, the service is asked whatever is known of it."""
        if self._most == self.stages and (not askable or now_s < self._rests_until_s):
            return [self.stages]
        return list(range(self._most + 1))

    def _move(self, cut: int, now_s: float) -> None:
        self._now, self._since_s = cut, now_s

    def _best(self, possible: Iterable[int]) -> int:
        """The cheapest that is known; else the one with the most stages here."""
        return min(possible, key=lambda cut: (ms if (ms := self.cost_ms(cut)) is not None else float("inf"), -cut))

    def _to_try(self, possible: list[int], now_s: float) -> int | None:
        others = [cut for cut in possible if cut != self._now]
        unknown = [cut for cut in others if any(each.count < 2 for each in self._parts(cut))]
        if unknown:
            return max(unknown)
        best_ms = self.cost_ms(self._best(possible)) or 0.0
        due = [cut for cut in others if self._age_s(cut, now_s) > self._stale_s(cut, best_ms)]
        return max(due, key=lambda cut: self._age_s(cut, now_s), default=None)

    def _stale_s(self, cut: int, best_ms: float) -> float:
        """After how long it is measured again."""
        return HOPELESS_STALE_S if (self.cost_ms(cut) or 0.0) > HOPELESS * best_ms else STALE_S

    def _parts(self, cut: int) -> list[_Measured]:
        """What its cost is made of."""
        return self._here[:cut] + self._there[cut : cut + 1]

    def _age_s(self, cut: int, now_s: float) -> float:
        """Of its oldest measurement."""
        return max(now_s - each.at_s for each in self._parts(cut))
