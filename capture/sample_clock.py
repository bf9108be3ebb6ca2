"""When each block of sound was taken, told from when it could be read."""

from __future__ import annotations

from capture.samples import Stamp

SLEW = 0.001
"""Share of real time by which the clock may give way to blocks that come late: ten times the drift of a bad crystal."""

HOLE_NS = 100_000_000
HOLE_SEEN_NS = 1_000_000_000
"""Later than the first for longer than the second cannot be the scheduler: samples are missing."""


class SampleClock:
    """Turns the times at which blocks were read into times of their first samples.

    Blocks are read late by the whim of schedulers and sound servers, never early. So the samples themselves are the
    clock: a block begins where the one before ended, is moved at once when it was read earlier than that allows, and
    only slowly when it was read later. Where the driver says that it lost samples, the lateness tells how many (to
    within one block, since the loss may lie inside it). Sound servers lose samples without a word; those show as a
    lateness that stays, one second afterwards. Pure: readings of the clocks come in.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._next_ns: int | None = None
        """When the next sample is taken, if none is lost."""
        self._hole_since_ns: int | None = None
        self._least_late_ns = 0

    def place(self, read: Stamp, count: int, *, overflow: bool) -> tuple[Stamp, int]:
        """Time of the first of `count` samples, and how many were lost before it.

        `read` is when the first sample was taken if the block was read without delay; `overflow`: the driver says that
        it lost something.
        """
        expected_ns = read.mono_ns if self._next_ns is None else self._next_ns
        late_ns = read.mono_ns - expected_ns
        duration_ns = count * 1_000_000_000 // self._rate_hz
        missing_ns = late_ns if overflow else self._hole_ns(read.mono_ns, late_ns)
        lost = round(missing_ns * self._rate_hz / 1e9)
        if overflow:
            lost = max(1, lost)
        if lost:
            self._hole_since_ns = None
            first_ns = expected_ns + missing_ns
        else:
            first_ns = expected_ns + min(late_ns, int(duration_ns * SLEW))
        self._next_ns = first_ns + duration_ns
        return read.shifted(first_ns - read.mono_ns), lost

    def _hole_ns(self, now_ns: int, late_ns: int) -> int:
        """How much is missing although nobody said so; 0 while a mere delay explains it."""
        if late_ns < HOLE_NS:
            self._hole_since_ns = None
            return 0
        if self._hole_since_ns is None:
            self._hole_since_ns, self._least_late_ns = now_ns, late_ns
        self._least_late_ns = min(self._least_late_ns, late_ns)
        return self._least_late_ns if now_ns - self._hole_since_ns > HOLE_SEEN_NS else 0
