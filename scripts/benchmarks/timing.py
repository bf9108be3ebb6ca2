"""Wall and CPU time of alternatives that take turns, so that whatever else the machine does hits all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, slots=True)
class Turn:
    """One alternative in one round."""

    wall_ms: Sequence[float]
    """Of every step."""
    cpu_ms: float
    """Per step, of all threads of the process that worked."""


@dataclass(slots=True)
class Timed:
    """One alternative in all rounds."""

    turns: list[Turn] = field(default_factory=list)

    @property
    def cpu_ms(self) -> float:
        """Per step; the median of the rounds."""
        return statistics.median(turn.cpu_ms for turn in self.turns)

    @property
    def wall_ms(self) -> float:
        """The median of the rounds' medians."""
        return statistics.median(statistics.median(turn.wall_ms) for turn in self.turns)

    def ratio(self, base: Timed) -> float:
        """CPU time over that of another, round by round; the median of the rounds."""
        return statistics.median(mine.cpu_ms / other.cpu_ms for mine, other in zip(self.turns, base.turns, strict=True))

    def wall_ratio(self, base: Timed) -> float:
        """As `ratio`, of the rounds' median wall times."""
        return statistics.median(
            statistics.median(mine.wall_ms) / statistics.median(other.wall_ms)
            for mine, other in zip(self.turns, base.turns, strict=True)
        )


def turn(step: Callable[[], object], count: int) -> Turn:
    """`count` steps in this process."""
    walls = []
    cpu_s = time.process_time()
    for _ in range(count):
        started_s = time.perf_counter()
        step()
        walls.append((time.perf_counter() - started_s) * 1e3)
    return Turn(walls, (time.process_time() - cpu_s) * 1e3 / count)


def take_turns(
    alternatives: Mapping[str, Callable[[int], Turn]], *, rounds: int, count: int, warm: int = 3
) -> dict[str, Timed]:
    """Every round runs every alternative `count` times, one after the other; each is warmed up before."""
    for alternative in alternatives.values():
        alternative(warm)
    timed = {name: Timed() for name in alternatives}
    for _ in range(rounds):
        for name, alternative in alternatives.items():
            timed[name].turns.append(alternative(count))
    return timed


def percentile(values: Sequence[float], share: float) -> float:
    """NaN when there are no values."""
    return float(np.percentile(values, share)) if len(values) else float("nan")


def middle(values: Sequence[float]) -> float:
    """The median; NaN when there are no values."""
    return statistics.median(values) if values else float("nan")
