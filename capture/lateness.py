"""How late the pictures of a network stream are, told by their own timestamps."""

from __future__ import annotations

STALL_NS = 100_000_000
"""Network jitter up to here is not worth a correction."""

STEADY = 3
"""After this many pictures in a row that had to be waited for, nothing old can be left in any buffer."""


class Lateness:
    """Seconds of old pictures come at once after the network stalled; without this they would look fresh.

    The first picture after a stall is as late as the pause was longer than the stream's own time says; the pictures
    that follow without a wait make up for it. Cheap cameras count their time from pictures instead of a clock, so a
    difference that grows little by little means nothing. Pure: clock readings come in, a duration goes out.
    """

    def __init__(self) -> None:
        self._got_ns: int | None = None
        self._taken_ns = 0
        self._usual_gap_ns = 0
        self._late_ns = 0
        self._steady = 0

    def late_ns(self, got_ns: int, taken_ns: int) -> int:
        """Nanoseconds for which a picture lay in buffers: got at `got_ns`, of the stream's own time `taken_ns`."""
        if self._got_ns is not None:
            self._follow(got_ns - self._got_ns, taken_ns - self._taken_ns)
        self._got_ns, self._taken_ns = got_ns, taken_ns
        return self._late_ns

    def _follow(self, gap_ns: int, taken_gap_ns: int) -> None:
        """One step: the time between two pictures here, and in the stream."""
        usual_ns = self._usual_gap_ns or gap_ns
        excess_ns = gap_ns - taken_gap_ns
        self._late_ns = max(0, self._late_ns + min(excess_ns, 0))
        if taken_gap_ns <= 0:  # the stream's clock was set, or it has none
            self._late_ns = 0
        elif excess_ns > STALL_NS and gap_ns > 3 * usual_ns:
            self._late_ns += excess_ns
            self._steady = 0
        elif gap_ns < usual_ns // 2:
            self._steady = 0
            return  # out of a buffer: says nothing about the usual pace
        else:
            self._steady += 1
            if self._steady >= STEADY:
                self._late_ns = 0
        self._usual_gap_ns = usual_ns + (min(gap_ns, 4 * usual_ns) - usual_ns) // 8
