"""Time on a device without a battery for its clock: never earlier than a moment that somebody has signed."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Protocol

from appliance.clock import clock_state

RELEASED_S = 1_793_491_200
"""2026-11-01: this code was not there before."""
MARK = "clock_s"


class Marks(Protocol):
    """Numbers on the disk that never fall; a ledger."""

    def mark(self, key: str) -> int: ...

    def raise_mark(self, key: str, value: int) -> int: ...


class ClockFloor:
    """The later of the wall clock and what is known."""

    def __init__(
        self,
        marks: Marks,
        wall_s: Callable[[], float] = time.time,
        synced: Callable[[], bool] = lambda: clock_state() == "synced",
    ) -> None:
        self._marks = marks
        self._wall_s = wall_s
        self._synced = synced

    def now(self) -> datetime:
        """What signatures are held against."""
        wall_s = self._wall_s()
        floor_s = max(self._marks.mark(MARK), RELEASED_S)
        if wall_s > floor_s and self._synced():
            floor_s = self._marks.raise_mark(MARK, int(wall_s))
        return datetime.fromtimestamp(max(wall_s, floor_s), timezone.utc)

    def signed_at(self, moment: datetime) -> None:
        """A believed signature was made then."""
        self._marks.raise_mark(MARK, int(moment.timestamp()))
