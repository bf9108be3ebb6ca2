"""A thread that asks to wake up in time."""

from __future__ import annotations

import os
import threading

from appliance.thread_priority import be_punctual


def test_only_the_thread_that_asks_is_changed_and_the_answer_is_true() -> None:
    ours, told = os.sched_getscheduler(0), list[tuple[bool, int]]()
    thread = threading.Thread(target=lambda: told.append((be_punctual(), os.sched_getscheduler(0))))
    thread.start()
    thread.join()
    [(agreed, policy)] = told
    assert agreed == (policy == os.SCHED_RR)
    assert os.sched_getscheduler(0) == ours
