"""How long a model takes, from its last runs: what can be promised, and what cannot be met any more."""

from __future__ import annotations

from collections import deque
from statistics import median

REMEMBERED = 16
FORGOTTEN_NS = 5_000_000_000
"""Runs as old as this promise nothing: after a slow spell the next question is tried, rather than refused for ever."""


class Pace:
    """Pure: times are given. Not locked: its owner is."""

    def __init__(self) -> None:
        self._runs: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        """Nanoseconds and number of questions."""
        self._last_ns = 0

    def note(self, run_ns: int, questions: int, now_ns: int) -> None:
        """A run that ended just now."""
        self._runs.append((run_ns, questions))
        self._last_ns = now_ns

    def least_ns(self, now_ns: int) -> int:
        """The quickest of the last runs: what nobody can do in less. 0 when nothing is known."""
        return min((run for run, _ in self._known(now_ns)), default=0)

    def usual_ns(self, now_ns: int) -> int:
        """What one question takes in the middle of the last runs, batches shared out. 0 when nothing is known."""
        known = self._known(now_ns)
        return int(median(run / count for run, count in known)) if known else 0

    def _known(self, now_ns: int) -> deque[tuple[int, int]]:
        if now_ns - self._last_ns > FORGOTTEN_NS:
            self._runs.clear()
        return self._runs
