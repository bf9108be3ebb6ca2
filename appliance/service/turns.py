"""Who is next: one question of each asker in turn, so that nobody waits behind the many of another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Bounded queues, one for each asker, emptied in rotation. Not locked: its owner is.

    Whoever is being served stands outside the rotation until `release`, and then joins it at its end: somebody who
    comes meanwhile goes before the next question of somebody who has many. Nobody waits for more than one question of
    each who is waiting already.
    """

    def __init__(self, each: int, most: int) -> None:
        """`each`: of one asker, `most`: of all, that may wait. Nobody has more waiting than there is room left: a few
        who ask all they may do not keep out whoever comes next."""
        self.each = each
        self.most = most
        self._queues: dict[str, deque[T]] = {}
        self._rotation: deque[str] = deque()
        """Askers with something waiting, in the order of their turns."""
        self._served: dict[str, None] = {}
        """Those who are being served, in order."""
        self._waiting = 0

    def put(self, asker: str, item: T) -> bool:
        """False, and nothing is kept, when too much is waiting."""
        queue = self._queues.get(asker)
        if (0 if queue is None else len(queue)) >= min(self.each, self.most - self._waiting):
            return False
        if queue is None:
            queue = self._queues[asker] = deque()
            if asker not in self._served:
                self._rotation.append(asker)
        queue.append(item)
        self._waiting += 1
        return True

    def take(self, passing_over: Collection[str] = ()) -> T | None:
        """The oldest item of the asker whose turn it is, of those who are not passed over: they keep their turn. When
        nobody else waits, whoever is being served gets another."""
        asker = next((each for each in self._rotation if each not in passing_over), None)
        if asker is not None:
            self._rotation.remove(asker)
        else:
            asker = next((each for each in self._served if each in self._queues and each not in passing_over), None)
            if asker is None:
                return None
        queue = self._queues[asker]
        item = queue.popleft()
        if not queue:
            del self._queues[asker]
        self._waiting -= 1
        self._served.pop(asker, None)
        self._served[asker] = None
        return item

    def release(self) -> None:
        """What was taken has been served."""
        self._rotation.extend(asker for asker in self._served if asker in self._queues)
        self._served.clear()

    def discard(self, stale: Callable[[T], bool]) -> list[T]:
        """Take out what nobody wants any more."""
        gone = []
        for asker, queue in list(self._queues.items()):
            gone += [item for item in queue if stale(item)]
            kept = deque(item for item in queue if not stale(item))
            if kept:
                self._queues[asker] = kept
                continue
            del self._queues[asker]
            if asker in self._rotation:
                self._rotation.remove(asker)
        self._waiting -= len(gone)
        return gone

    def take_all(self) -> list[T]:
        """Everything, in the order of the turns."""
        items = []
        while (item := self.take()) is not None:
            items.append(item)
            self.release()
        return items

    def ahead(self, asker: str) -> int:
        """How many would have their turn before a further item of this asker, at most."""
        own = len(self._queues.get(asker, ()))
        if not own and asker not in self._served:
            return len(self._rotation)
        return min(self._waiting, (own + 1) * len(self._queues))

    @property
    def askers(self) -> frozenset[str]:
        """Of whom something is waiting."""
        return frozenset(self._queues)

    def __len__(self) -> int:
        return self._waiting
