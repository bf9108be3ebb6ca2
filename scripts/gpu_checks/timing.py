"""How long things take, and how evenly."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_WARM = 20


@dataclass(frozen=True, slots=True)
class Spread:
    """Of many runs, in milliseconds."""

    p50: float
    p99: float

    @property
    def tail(self) -> float:
        return self.p99 / self.p50

    def __str__(self) -> str:
        return f"p50 {self.p50:.3f} ms, p99 {self.p99:.3f} ms"


def wall(body: Callable[[], object], times: int) -> Spread:
    """Wall time of each of `times` calls, after some that do not count."""
    for _ in range(min(times, _WARM)):
        body()
    took = np.empty(times)
    for number in range(times):
        begun = time.perf_counter()
        body()
        took[number] = time.perf_counter() - begun
    return Spread(float(np.percentile(took, 50) * 1000), float(np.percentile(took, 99) * 1000))


def in_turn(bodies: dict[str, Callable[[], object]], times: int, rounds: int = 5) -> dict[str, Spread]:
    """As `wall`, for several that are compared: in rounds, one after the other, so that clocks and heat concern all of
    them alike. The median of the rounds."""
    found: dict[str, list[Spread]] = {name: [] for name in bodies}
    for _ in range(rounds):
        for name, body in bodies.items():
            found[name].append(wall(body, times))
    return {
        name: Spread(float(np.median([s.p50 for s in each])), float(np.median([s.p99 for s in each])))
        for name, each in found.items()
    }
