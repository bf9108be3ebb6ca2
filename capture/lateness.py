"""How late the pictures of a network stream are, told by their own timestamps."""

from __future__ import annotations

TOLERATED_NS = 100_000_000
"""Network jitter up to here is not worth a correction."""

WINDOW_NS = 30_000_000_000
"""For how long the fastest picture is remembered; the two clocks drift apart by a few ms in this time."""


class Lateness:
    """A picture that took longer than the fastest of the last minute was waiting in a buffer for the difference.

    That is what happens after a stall: the network delivers seconds of old pictures at once, and without this they
    would look fresh. Pure: clock readings come in, a duration goes out.
    """

    def __init__(self) -> None:
        self._fastest_ns: int | None = None
        self._fastest_before_ns: int | None = None
        self._window_since_ns = 0
        self._picture_ns: int | None = None

    def late_ns(self, now_ns: int, picture_ns: int) -> int:
        """Nanoseconds by which a picture with the stream's time `picture_ns`, got at `now_ns`, is late; often 0.

        When the stream's time goes backwards, its clock was set: measuring begins anew.
        """
        delay_ns = now_ns - picture_ns
        if self._picture_ns is None or picture_ns <= self._picture_ns:
            self._fastest_ns, self._fastest_before_ns, self._window_since_ns = delay_ns, None, now_ns
        self._picture_ns = picture_ns
        if now_ns - self._window_since_ns > WINDOW_NS:
            self._fastest_before_ns, self._fastest_ns, self._window_since_ns = self._fastest_ns, None, now_ns
        self._fastest_ns = delay_ns if self._fastest_ns is None else min(self._fastest_ns, delay_ns)
        before_ns = self._fastest_before_ns
        fastest_ns = self._fastest_ns if before_ns is None else min(self._fastest_ns, before_ns)
        late_ns = delay_ns - fastest_ns
        return late_ns if late_ns > TOLERATED_NS else 0
