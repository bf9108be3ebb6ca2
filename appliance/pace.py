"""How often the outbox may write through to the disk."""

from __future__ import annotations


class Pace:
    """So many at once, then so many a second: a lone event is durable at once, a flood is written in groups.

    Pure; flash memory wears with every sync, so a flood must not cause one per event.
    """

    def __init__(self, per_s: float = 100.0, at_once: int = 8) -> None:
        self._per_s = per_s
        self._at_once = at_once
        self._tokens = float(at_once)
        self._then_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """How long until the next is allowed; 0 when it is."""
        self._tokens = min(self._at_once, self._tokens + (now_s - self._then_s) * self._per_s)
        self._then_s = now_s
        return max(0.0, (1.0 - self._tokens) / self._per_s)

    def spend(self) -> None:
        """One was done."""
        self._tokens -= 1.0
