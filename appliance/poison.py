"""Finds the message that a broker chokes on: one that ends every connection that carries it."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence

STRIKES = 3
WITHIN_S = 60.0


class PoisonGuard:
    """Pure. Messages are named by keys that stay the same when they are sent again.

    After a suspicious end of the connection the first message that was on its way is suspected, and messages travel
    alone until it is answered. Three ends with nothing but the suspect on its way convict it.
    """

    def __init__(self) -> None:
        self._suspect: Hashable | None = None
        self._strikes: deque[float] = deque()
        self._since_s = 0.0

    def alone(self, now_s: float) -> bool:
        """Whether only one message may be on its way."""
        if self._suspect is not None and now_s > self._since_s + WITHIN_S:
            self._suspect = None
        return self._suspect is not None

    def ended(self, on_their_way: Sequence[Hashable], now_s: float) -> Hashable | None:
        """The connection ended, and a message may be why. Gives the key of a convicted one."""
        if not on_their_way:
            return None
        if on_their_way[0] != self._suspect:
            self._suspect = on_their_way[0]
            self._strikes.clear()
        self._since_s = now_s
        if len(on_their_way) == 1:
            self._strikes.append(now_s)
        while self._strikes and self._strikes[0] < now_s - WITHIN_S:
            self._strikes.popleft()
        if len(self._strikes) < STRIKES:
            return None
        convicted, self._suspect = self._suspect, None
        self._strikes.clear()
        return convicted

    def answered(self, key: Hashable) -> None:
        """The broker answered this one, whatever it said: it is not what ends connections."""
        if key == self._suspect:
            self._suspect = None
            self._strikes.clear()
