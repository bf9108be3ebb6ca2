"""The uplink's mailbox: in a burst that does not fit, what matters least gives way."""

from __future__ import annotations

import threading
from collections import deque

from appliance.mailbox import Mailbox
from appliance.uplink.outgoing import Outgoing, Publish

RANKS = 5


def rank(item: Outgoing) -> int:
    """How much it matters: 0 a live result; 1 to 3 spooled documents by their priority; 4 retained state, answers."""
    if isinstance(item, Publish):
        return 4 if item.retain or item.qos > 0 else 0
    return 1 + max(0, min(item.priority, 2))


class Intake(Mailbox[Outgoing]):
    """Comes out in the order it went in. When full, the oldest of the lowest rank is dropped and counted."""

    def __init__(self, size: int, ready: threading.Condition | None = None) -> None:
        super().__init__(size, ready)
        self._queues: tuple[deque[tuple[int, Outgoing]], ...] = tuple(deque() for _ in range(RANKS))
        self._arrivals = 0
        self._waiting = 0
        self._dropped_by_rank = [0] * RANKS

    def put(self, item: Outgoing) -> None:
        """Leave an item; never blocks. Once closed, items are dropped and counted."""
        place = rank(item)
        with self._ready:
            if self._closed:
                self._count_drop(place)
                return
            self._arrivals += 1
            self._queues[place].append((self._arrivals, item))
            self._waiting += 1
            if self._waiting > self._size:
                lowest = next(n for n, queue in enumerate(self._queues) if queue)
                self._queues[lowest].popleft()
                self._waiting -= 1
                self._count_drop(lowest)
            self._ready.notify_all()

    def _count_drop(self, place: int) -> None:
        self._dropped += 1
        self._dropped_by_rank[place] += 1

    def take(self, timeout_s: float | None = None) -> Outgoing | None:
        """The oldest item, or None after `timeout_s` or once closed and empty."""
        return next(iter(self.take_all(timeout_s, most=1)), None)

    def take_all(self, timeout_s: float | None = None, most: int | None = None) -> list[Outgoing]:
        """Every waiting item (at most `most`), oldest first; empty after `timeout_s` or once closed and empty."""
        with self._ready:
            self._ready.wait_for(lambda: self._waiting or self._closed, timeout_s)
            count = self._waiting if most is None else min(most, self._waiting)
            self._waiting -= count
            return [self._oldest() for _ in range(count)]

    def _oldest(self) -> Outgoing:
        queue = min((queue for queue in self._queues if queue), key=lambda queue: queue[0][0])
        return queue.popleft()[1]

    @property
    def dropped_by_rank(self) -> tuple[int, ...]:
        return tuple(self._dropped_by_rank)

    def __len__(self) -> int:
        return self._waiting
