"""Lets a thread that sleeps most of the time wake up at its moment, however busy the cores are."""

from __future__ import annotations

import contextlib
import os


def be_punctual() -> bool:
    """Ask the system to run the calling thread before every ordinary one; whether it agreed.

    Round robin at the lowest real-time priority (sched(7)). It needs root, or a limit that allows it: LimitRTPRIO=1
    and no RestrictRealtime in a systemd unit. For threads that never compute for long.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    return os.sched_getscheduler(0) == os.SCHED_RR
