"""So many bytes a second and no more: what a model may take of a link that others need."""

from __future__ import annotations

import time
from collections.abc import Callable

BURST_S = 1.0
"""What was not used in this time may be used at once."""


class Budget:
    """Spent after each read, by one thread: the next read waits until the last one is paid for."""

    def __init__(
        self,
        bytes_per_s: float | None,
        wait: Callable[[float], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """None: without a limit. `wait`: for so many seconds, or until the appliance stops."""
        self._bytes_per_s = bytes_per_s
        self._wait = wait
        self._clock = clock
        self._paid_until_s = clock()

    def spend(self, size: int) -> None:
        """Wait for as long as these bytes should have taken."""
        if self._bytes_per_s is None:
            return
        now_s = self._clock()
        self._paid_until_s = max(self._paid_until_s, now_s - BURST_S) + size / self._bytes_per_s
        if self._paid_until_s > now_s:
            self._wait(self._paid_until_s - now_s)
