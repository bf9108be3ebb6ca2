"""Names a thread for the system: Python's own names show in a Python stack dump only."""

from __future__ import annotations

import ctypes

_PR_SET_NAME = 15
"""prctl(2); at most 15 bytes of it are kept."""


def name_thread(name: str) -> None:
    """Name the thread that calls, as `top -H` and /proc/PID/task/TID/comm show it."""
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode()[:15])
