"""Finds the message that a broker chokes on: one that ends every connection that carries it."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence

CONVICTED_AT = 6
"""An end that the protocol explains speaks with 2 against the message on its way, a line that just breaks with 1."""
WITHIN_S = 60.0


class PoisonGuard:
    """Pure. Messages are named by keys that stay the same when they are sent again.

    After an end that may be a message's fault the first one that was on its way is suspected, and messages travel alone
    until it is answered. Ends with nothing but the suspect on its way convict it.
    """

    def __init__(self, innocent: Hashable) -> None:
        """`innocent` goes first over every connection: one that ends before it is answered says nothing of the rest."""
        self._innocent = innocent
        self._suspect: Hashable | None = None
        self._blame: deque[float] = deque()
        self._since_s = 0.0

    def alone(self, now_s: float) -> bool:
        """Whether only one message may be on its way."""
        if self._suspect is not None and now_s > self._since_s + WITHIN_S:
            self._suspect = None
        return self._suspect is not None

    def ended(self, on_their_way: Sequence[Hashable | None], now_s: float, blame: int) -> Hashable | None:
        """The connection ended, which speaks with `blame` against what was on its way: the convicted one, if any.

        None among the keys stands for a message that is not sent again.
        """
        suspect = next((key for key in on_their_way if key is not None and key != self._innocent), None)
        if suspect is None or blame == 0:
            return None
        if suspect != self._suspect:
            self._suspect = suspect
            self._blame.clear()
        self._since_s = now_s
        if len(on_their_way) == 1:
            self._blame.extend([now_s] * blame)
        while self._blame and self._blame[0] < now_s - WITHIN_S:
            self._blame.popleft()
        if len(self._blame) < CONVICTED_AT:
            return None
        self._suspect = None
        self._blame.clear()
        return suspect

    def answered(self, key: Hashable) -> None:
        """The broker answered this one, whatever it said: it is not what ends connections."""
        if key == self._suspect:
            self._suspect = None
            self._blame.clear()
