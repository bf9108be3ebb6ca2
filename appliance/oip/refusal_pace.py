"""How soon a caller is told no: at once, unless it has been told so very often."""

from __future__ import annotations

MOST_REMEMBERED = 10_000
PER_S = 20.0
"""Refusals of one caller, in the long run."""
AT_ONCE = 20
REST_TIMES = 4.0
"""Before a caller's next request is read, a refused one is rested from so many times as long as it took to read."""
MOST_REST_S = 2.0
BYTES_PER_S = 2.5e8
"""What only has to be received takes time as well: gRPC copies a message with the interpreter held."""


def rest_s(worked_s: float, received_bytes: int) -> float:
    """After a request that was refused: nonsense gets a fifth of a processor, and whoever sends it reads slower."""
    return min(MOST_REST_S, REST_TIMES * (worked_s + received_bytes / BYTES_PER_S))


class RefusalPace:
    """A clock for each caller that every refusal sets forward. Pure: times are given. Not locked: its owner is.

    Whoever sends nonsense as fast as it is answered is answered at this pace: the request in between costs nobody
    anything while it waits to be refused.
    """

    def __init__(self) -> None:
        self.slowed = 0
        """Refusals that had to wait."""
        self._clocks: dict[str, float] = {}

    def wait_s(self, caller: str, now_s: float) -> float:
        """Until this caller is told no once more."""
        if caller not in self._clocks and len(self._clocks) >= MOST_REMEMBERED:
            self._forget(now_s)
        clock_s = max(now_s, self._clocks.get(caller, now_s)) + 1 / PER_S
        self._clocks[caller] = clock_s
        wait_s = max(0.0, clock_s - now_s - AT_ONCE / PER_S)
        self.slowed += wait_s > 0
        return wait_s

    def _forget(self, now_s: float) -> None:
        """Those whose clocks have been overtaken; failing that, everybody."""
        self._clocks = {caller: clock_s for caller, clock_s in self._clocks.items() if clock_s > now_s}
        if len(self._clocks) >= MOST_REMEMBERED:
            self._clocks.clear()
