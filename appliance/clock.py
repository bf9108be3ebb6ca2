"""Whether the wall clock can be believed."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Literal

_TIME_ERROR = 5
"""adjtimex(2): the kernel's answer while no time service has disciplined the clock."""

_TIMEX_BYTES = 208
"""sizeof(struct timex) on 64-bit Linux."""


_TIMESYNCD_MARK = Path("/run/systemd/timesync/synchronized")
"""Made by systemd-timesyncd at its first synchronisation after boot; readable where the sandbox forbids adjtimex."""


def clock_state() -> Literal["synced", "unsynced"]:
    """`synced` when a time service keeps the wall clock: timesyncd's mark, or the kernel's answer to adjtimex(2).

    Reads only. `unsynced` as well where neither can be asked: what cannot be known is not promised.
    """
    if _TIMESYNCD_MARK.exists():
        return "synced"
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes = 0: read only
    answer = ctypes.CDLL(None).adjtimex(timex)
    return "unsynced" if answer < 0 or answer == _TIME_ERROR else "synced"
