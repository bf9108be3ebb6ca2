"""Waiting for something to become true, with a deadline, instead of sleeping and hoping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(predicate: Callable[[], T], within_s: float = 5.0, what: str = "") -> T:
    """The first truthy value of `predicate`; fails the test when there is none within `within_s`."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {what or predicate}")
        pause.wait(0.01)
