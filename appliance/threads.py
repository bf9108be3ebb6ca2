"""Threads with a name and an event that asks them to return: started here, watched, and ended against one deadline."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import TypeAlias

from appliance.thread_name import name_thread

logger = logging.getLogger(__name__)

Body: TypeAlias = Callable[[threading.Event], None]
"""What a thread does until the event is set."""


class Broken(Exception):
    """The process cannot go on as it is and ends in order, to be started afresh."""


@dataclass(frozen=True, slots=True)
class _Running:
    thread: threading.Thread
    stopping: threading.Event


class Threads:
    """Threads that end together. For one thread alone, but for `by_name`."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    def start(self, name: str, body: Body) -> None:
        """In the place of one of this name, if there is one: that is forgotten, and not waited for any more."""
        stopping = threading.Event()

        def run() -> None:
            name_thread(name)
            body(stopping)

        # Daemonic, so that a thread stuck in a driver cannot keep the process from ending.
        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        self._running[name] = _Running(thread, stopping)

    def __contains__(self, name: str) -> bool:
        return name in self._running

    def alive(self, name: str) -> bool:
        return self._running[name].thread.is_alive()

    def hand(self, name: str, to: Threads) -> None:
        """The thread is among the others from now on, in the place of theirs of this name."""
        to._running[name] = self._running.pop(name)

    def forget(self, name: str) -> None:
        del self._running[name]

    def watch(self, may_end: Container[str] = ()) -> None:
        """A thread that has ended, and is not one of those that may, is a bug: raises Broken."""
        for name, running in self._running.items():
            if not running.thread.is_alive() and name not in may_end:
                raise Broken(f"{name}: the thread ended unexpectedly; see the traceback above")

    def ask_to_end(self) -> None:
        """Returns at once."""
        for running in self._running.values():
            running.stopping.set()

    def end(self, deadline_s: float) -> None:
        """Wait until `deadline_s` by the monotonic clock; whoever is left behind is named in the log."""
        self.ask_to_end()
        for name, running in self._running.items():
            running.thread.join(max(0.0, deadline_s - time.monotonic()))
            if running.thread.is_alive():
                logger.error("%s: did not stop in time and is left behind", name)
        self._running = {}

    @property
    def by_name(self) -> dict[str, threading.Thread]:
        """Any thread."""
        return {name: running.thread for name, running in dict(self._running).items()}
