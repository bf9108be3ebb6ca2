"""Is a camera still alive? Judged by the age of what it shows, for a frozen camera goes on delivering pictures."""

from __future__ import annotations

import math
from typing import NamedTuple

from capture.samples import Frame

_ROWS = 45


class _Seen(NamedTuple):
    """Replaced as a whole, so that another thread always reads values that belong together."""

    fingerprint: bytes
    changed_ns: int
    arrived_ns: int


class Freshness:
    """Watches the frames of one live camera; written by its capture thread, asked by any thread.

    A real sensor has noise: pictures that are equal to the byte for `stale_after_s` are not pictures of the world. A
    network camera repeats itself where its encoder finds nothing to send, at most until its next key frame: choose
    `stale_after_s` longer than that. Not for recordings and scenes, which may rightly stand still.
    """

    def __init__(self, stale_after_s: float) -> None:
        if not stale_after_s > 0:
            raise ValueError(f"stale_after_s = {stale_after_s}: expected a positive number of seconds")
        self.stale_after_s = stale_after_s
        self._seen: _Seen | None = None

    def seen(self, frame: Frame) -> None:
        """Take note of a frame. Looks at every 16th row or so of the picture, byte for byte."""
        rows = frame.pixels[:: max(1, len(frame.pixels) // _ROWS)]
        fingerprint = rows.tobytes()
        before = self._seen
        now_ns = frame.stamp.mono_ns
        unchanged = before is not None and before.fingerprint == fingerprint
        changed_ns = before.changed_ns if before is not None and unchanged else now_ns
        self._seen = _Seen(fingerprint, changed_ns, now_ns)

    def age_s(self, now_ns: int) -> float:
        """Seconds since the content last changed, by the monotonic clock; infinite before the first frame."""
        seen = self._seen
        return math.inf if seen is None else (now_ns - seen.changed_ns) / 1e9

    def stale(self, now_ns: int) -> bool:
        """Whether the camera has shown nothing new for `stale_after_s`."""
        return self.age_s(now_ns) > self.stale_after_s

    def reason(self, now_ns: int) -> str:
        """Why the camera is stale, in words; empty while it is fresh."""
        seen = self._seen
        if seen is None:
            return "no picture yet"
        if not self.stale(now_ns):
            return ""
        silent_s = (now_ns - seen.arrived_ns) / 1e9
        if silent_s > self.stale_after_s:
            return f"no picture for {silent_s:.1f} s"
        return f"frozen: pictures keep coming, but show the same since {self.age_s(now_ns):.1f} s"
