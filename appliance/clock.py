"""Whether the wall clock can be believed."""

from __future__ import annotations

import ctypes
from typing import Literal

_TIME_ERROR = 5
"""adjtimex(2): the kernel's answer while no time service has disciplined the clock."""

_TIMEX_BYTES = 208
"""sizeof(struct timex) on 64-bit Linux."""


def clock_state() -> Literal["synced", "unsynced"]:
    """`synced` when the kernel says that a time service keeps the wall clock; asks by adjtimex(2), changes nothing.

    `unsynced` as well where a sandbox forbids the question: what cannot be known is not promised.
    """
    libc = ctypes.CDLL(None)
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes = 0: read only
    answer = libc.adjtimex(timex)
    return "unsynced" if answer < 0 or answer == _TIME_ERROR else "synced"
