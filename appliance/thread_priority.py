"""Which threads go first when the cores are busy: those that keep a moment; which last: those that entertain."""

from __future__ import annotations

import contextlib
import os
import threading

GIVING_WAY = 10
"""Nice value of threads that work for spectators."""


def be_punctual() -> bool:
    """Ask the system to run the calling thread before every ordinary one; whether it agreed.

    Round robin at the lowest real-time priority (sched(7)). It needs root, or a limit that allows it: LimitRTPRIO=1
    and no RestrictRealtime in a systemd unit. For threads that never compute for long.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    return os.sched_getscheduler(0) == os.SCHED_RR


def give_way() -> None:
    """Let other threads run before the calling one. On Linux each thread has a nice value of its own."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), GIVING_WAY)
