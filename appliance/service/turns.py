"""Who is next: one question of each asker in turn, so that nobody waits behind the many of another."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Bounded queues, one for each asker, emptied in rotation. Not locked: its owner is."""

    def __init__(self, each: int, most: int) -> None:
        """`each`: of one asker, `most`: of all, that may wait."""
        self.each = each
        self.most = most
        self._queues: dict[str, deque[T]] = {}
        self._rotation: deque[str] = deque()
        """Askers with something waiting, in the order of their turns."""
        self._waiting = 0

    def put(self, asker: str, item: T) -> bool:
        """False, and nothing is kept, when too much is waiting."""
        queue = self._queues.get(asker)
        if self._waiting >= self.most or (queue is not None and len(queue) >= self.each):
            return False
        if queue is None:
            queue = self._queues[asker] = deque()
            self._rotation.append(asker)
        queue.append(item)
        self._waiting += 1
        return True

    def take(self) -> T | None:
        """The oldest item of the asker whose turn it is."""
        if not self._rotation:
            return None
        asker = self._rotation.popleft()
        queue = self._queues[asker]
        item = queue.popleft()
        self._waiting -= 1
        if queue:
            self._rotation.append(asker)
        else:
            del self._queues[asker]
        return item

    def take_all(self) -> list[T]:
        """Everything, in the order of the turns."""
        items = []
        while (item := self.take()) is not None:
            items.append(item)
        return items

    def ahead(self, asker: str) -> int:
        """How many have their turn before the next item of this asker would, at most."""
        own = len(self._queues.get(asker, ()))
        return min(self._waiting, (own + 1) * len(self._rotation))

    def __len__(self) -> int:
        return self._waiting
