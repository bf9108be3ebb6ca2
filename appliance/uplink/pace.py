"""How often something may be done: so many at once, then so many a second. Pure: the time is given."""

from __future__ import annotations

_RISES_S = 2.0
"""After so long, a third that doubles every second is more than all."""


class Pace:
    """Starts full: what comes seldom never waits."""

    def __init__(self, per_s: float, at_once: float) -> None:
        self._per_s = per_s
        self._at_once = at_once
        self._left = at_once
        self._then_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """How long until the next is allowed; 0 when it is."""
        self._left = min(self._at_once, self._left + max(0.0, now_s - self._then_s) * self._per_s)
        self._then_s = now_s
        return max(0.0, (1.0 - self._left) / self._per_s)

    def spend(self) -> None:
        """One was done."""
        self._left -= 1.0


class Ramp(Pace):
    """A pace that begins at a third and doubles every second until it is `per_s`, or what comes in and half of that."""

    def __init__(self, per_s: float) -> None:
        super().__init__(per_s, at_once=10.0)
        self._most_per_s = per_s
        self._since_s: float | None = None
        self.incoming_per_s = 0.0
        """What has to be kept up with."""

    def restart(self) -> None:
        """Begin slowly again, counting from the next `wait_s`."""
        self._since_s = None

    def wait_s(self, now_s: float) -> float:
        if self._since_s is None:
            self._since_s = now_s
        most_per_s = max(self._most_per_s, 1.5 * self.incoming_per_s)
        self._per_s = most_per_s * min(1.0, 2.0 ** min(now_s - self._since_s, _RISES_S) / 3.0)
        self._at_once = max(10.0, self._per_s / 100.0)
        return super().wait_s(now_s)
