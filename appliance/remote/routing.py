"""The thread `router`: between the mailboxes of routed pipelines, the workers' lanes and the model services."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from appliance.mailbox import Mailbox
from appliance.remote.routed import Routed, Told
from appliance.thread_priority import be_punctual

IDLE_S = 0.25
STUCK_S = 10.0
MOST_TOLD = 8192
"""More than all open samples of a device's pipelines can cause, so that no answer is dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class _Letter:
    to: str
    """Name of a pipeline."""
    told: Told


class Routing:
    """`tell` and `wake` are for any thread, `run` is the body of the thread."""

    def __init__(self) -> None:
        self.ready = threading.Condition()
        """What the mailboxes of routed pipelines share."""
        self.routed: dict[str, Routed] = {}
        """By pipeline; filled before `run`."""
        self._inbox: Mailbox[_Letter] = Mailbox(MOST_TOLD, self.ready)
        self.punctual = False
        """Whether the thread runs before all others, as it asked to."""
        self._turned_ns: int | None = None

    def tell(self, pipeline: str, told: Told) -> None:
        """Leave word of something that happened to a sample of this pipeline; never blocks."""
        self._inbox.put(_Letter(pipeline, told))

    def wake(self) -> None:
        """Make a waiting `run` look at `stopping`."""
        with self.ready:
            self.ready.notify_all()

    def stuck(self, now_ns: int) -> bool:
        """No turn for so long that its thread hangs."""
        return self._turned_ns is not None and now_ns - self._turned_ns > STUCK_S * 1e9

    def run(self, stopping: threading.Event) -> None:
        self.punctual = be_punctual()
        figures_due_ns = 0
        self._turned_ns = time.monotonic_ns()
        while not stopping.is_set():
            self._wait()
            for letter in self._inbox.take_all(timeout_s=0):
                self.routed[letter.to].hear(letter.told, time.monotonic_ns())
            for routed in self.routed.values():
                routed.turn(time.monotonic_ns())
            now_ns = self._turned_ns = time.monotonic_ns()
            if now_ns >= figures_due_ns:
                figures_due_ns = now_ns + int(IDLE_S * 1e9)
                for routed in self.routed.values():
                    routed.tell_figures(now_ns)

    def _wait(self) -> None:
        """Until something has come, or the next moment that somebody waits for."""
        now_ns = time.monotonic_ns()
        moments = [moment for routed in self.routed.values() if (moment := routed.next_ns(now_ns)) is not None]
        patience_s = min(IDLE_S, max(0.0, (min(moments, default=now_ns + 10**9) - now_ns) / 1e9))
        with self.ready:
            self.ready.wait_for(self._anything_new, patience_s)

    def _anything_new(self) -> bool:
        return len(self._inbox) > 0 or any(routed.hungry for routed in self.routed.values())
