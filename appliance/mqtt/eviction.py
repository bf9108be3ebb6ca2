"""Finds out whether another client uses our id where the broker does not say so.

A broker lets in the newest client of an id and throws the older one out. MQTT 5 has a code for it (0x8E), but mosquitto
2.0.11, which Debian 12 ships, just closes the connection. The session tells: whoever connects with our id keeps it
alive. So we stay away for longer than the broker keeps a session that nobody uses, and see whether it is still there.
"""

from __future__ import annotations

from collections import deque

WITHIN_S = 60.0
ODD = 2
"""So many closings without a reason, and we look whether it is somebody else."""
LONGEST_S = 60.0
"""A broker may keep sessions for days, whatever we ask for: staying away for longer is worse than not to know."""
SLACK_S = 2.0
"""Brokers look for expired sessions now and then."""


class Eviction:
    """Pure: what happened is told, with the time."""

    def __init__(self) -> None:
        self.proven = False
        """Another client uses our id."""
        self._closings: deque[float] = deque()
        self._left_s: float | None = None
        self._kept_s = 0.0

    def connected(self, now_s: float, *, resumed: bool, kept_s: float) -> None:
        """The broker let us in. `resumed`: it knew our session. `kept_s`: how long it keeps one that nobody uses."""
        if self._left_s is not None and resumed:
            self.proven |= now_s > self._left_s + self._kept_s + SLACK_S / 2
        if not resumed:
            self._closings.clear()  # it was restarted: that is why it closed
        self._kept_s = kept_s

    def closed(self, now_s: float) -> None:
        """The broker closed a working connection in order and gave no reason."""
        self._left_s = now_s
        self._closings.append(now_s)
        while self._closings[0] < now_s - WITHIN_S:
            self._closings.popleft()

    def broke(self) -> None:
        """A connection just ended: the broker may not know that yet, so its memory of us proves nothing."""
        self._left_s = None

    def away(self) -> None:
        """The broker could not be reached or refused us: that is why it closed."""
        self._left_s = None
        self._closings.clear()

    def settled(self) -> None:
        """A connection lasted: whoever it was is gone."""
        self.proven = False

    @property
    def patience_s(self) -> float:
        """How long to stay away now, to find out."""
        odd = len(self._closings) >= ODD and not self.proven and self._kept_s <= LONGEST_S
        return self._kept_s + SLACK_S if odd else 0.0
