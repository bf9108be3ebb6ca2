"""How often something took how long: a few additions for whoever measures, the rest for whoever asks."""

from __future__ import annotations

from bisect import bisect_left

BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Upper ends of the classes; what takes longer than the last is in a class of its own."""


class Histogram:
    """One thread adds, any reads: a reader may miss the newest, never more."""

    __slots__ = ("_counts", "_sum_s")

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    @property
    def counts(self) -> tuple[int, ...]:
        """Of each class, without those below it."""
        return tuple(self._counts)

    @property
    def sum_s(self) -> float:
        return self._sum_s
