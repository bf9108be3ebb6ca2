"""So much per second and no more: a bucket that fills at a steady rate. Pure: the time is given."""

from __future__ import annotations


class Budget:
    """Holds at most one second's worth, but at least one unit, so that a burst of a second is possible.

    What is spent may be more than what is there (a picture's size is known once it is encoded): the debt is waited off.
    """

    def __init__(self, per_s: float, now_s: float = 0.0) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s)
        self._level = self._most
        self._at_s = now_s

    def allows(self, amount: float, now_s: float) -> bool:
        """Whether so much may be spent now. More than it can ever hold may be once it is full."""
        self._fill(now_s)
        return self._level >= min(amount, self._most) - 1e-9

    def spend(self, amount: float, now_s: float) -> None:
        self._fill(now_s)
        self._level -= amount

    def _fill(self, now_s: float) -> None:
        self._level = min(self._most, self._level + self._per_s * max(0.0, now_s - self._at_s))
        self._at_s = max(self._at_s, now_s)
