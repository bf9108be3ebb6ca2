"""Holding a recording back to its own speed."""

from __future__ import annotations

import threading
import time

SLIPPED_S = 0.5
"""A reader that is later than this goes on from where it is, instead of rushing after the lost time."""


class Pace:
    """Turns moments of a recording into moments of the world; the first one asked for is now."""

    def __init__(self, closing: threading.Event) -> None:
        self._closing = closing
        self._zero_s: float | None = None

    def wait_until(self, moment_s: float) -> bool:
        """Block until this moment of the recording has come; False as soon as `closing` is set."""
        now_s = time.monotonic()
        if self._zero_s is None or now_s - self._zero_s - moment_s > SLIPPED_S:
            self._zero_s = now_s - moment_s
        return not self._closing.wait(max(0.0, self._zero_s + moment_s - now_s))
