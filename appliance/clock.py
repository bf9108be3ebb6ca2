"""Whether the wall clock can be believed."""

from __future__ import annotations

import ctypes
import os
from typing import Literal

_TIME_ERROR = 5
"""adjtimex(2): the kernel's answer while no time service has disciplined the clock."""

_TIMEX_BYTES = 208
"""sizeof(struct timex) on 64-bit Linux."""


def clock_state() -> Literal["synced", "unsynced"]:
    """`synced` when the kernel says that a time service keeps the wall clock; asks by adjtimex(2), changes nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes = 0: read only
    answer = libc.adjtimex(timex)
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "unsynced" if answer == _TIME_ERROR else "synced"
