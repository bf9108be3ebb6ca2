"""Whether the wall clock can be believed.

`python -m appliance.clock FILE` is the body of appliance-clock.service: the closed unit of the appliance may not ask
the kernel, so this one does, and makes FILE at the first synchronisation.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

UNKNOWN_US = 16_000_000
"""What the kernel says where nobody has told it by how much its clock may be off. Its flag STA_UNSYNC is no answer:
chrony leaves it set where it is not to touch the battery's clock, timesyncd where that one keeps local time."""
MARKS = (Path("/run/appliance-clock/synchronized"), Path("/run/systemd/timesync/synchronized"))
"""Made by appliance-clock.service and by systemd-timesyncd at the first synchronisation after boot."""
ASK_EVERY_S = 10.0


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2), as far as it matters, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),  # 0: read only
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 256),
    )


def kernels_error_us() -> int:
    """By how much the clock may be off, as the time service has told the kernel. Raises OSError where a sandbox forbids
    to ask."""
    timex = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0:
        raise OSError(ctypes.get_errno(), f"adjtimex: {os.strerror(ctypes.get_errno())}")
    return int(timex.maxerror)


def clock_state(
    error_us: Callable[[], int] = kernels_error_us, marks: tuple[Path, ...] = MARKS
) -> Literal["synced", "unsynced"]:
    """`synced` when a time service keeps the wall clock, whichever it is: somebody's mark, or the kernel's answer.

    Reads only. `unsynced` as well where neither can be asked: what cannot be known is not promised.
    """
    if any(mark.exists() for mark in marks):
        return "synced"
    try:
        return "synced" if error_us() < UNKNOWN_US else "unsynced"
    except OSError:
        return "unsynced"


if __name__ == "__main__":
    while kernels_error_us() >= UNKNOWN_US:
        time.sleep(ASK_EVERY_S)
    Path(sys.argv[1]).touch()
