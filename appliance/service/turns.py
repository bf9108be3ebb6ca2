"""Who is next: whoever has had least of late, so that nobody waits behind the many questions of another.

Start-time fair queueing (Goyal, Vin and Cheng, 1996), with every item of the same cost: an item's tag is the turn it
belongs to. Somebody new belongs to the turn that is under way, somebody who has had it to the next.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection
from typing import Generic, TypeVar

T = TypeVar("T")

FORGET_FROM = 1024


class Turns(Generic[T]):
    """Bounded queues, one for each asker. Not locked: its owner is."""

    def __init__(self, each: int, most: int) -> None:
        """`each`: of one asker, `most`: of all, that may wait."""
        self.each = each
        self.most = most
        self._queues: dict[str, deque[T]] = {}
        self._heads: list[tuple[int, int, str]] = []
        """A heap of the askers with something waiting: the turn of their oldest item, when they came, who."""
        self._next_turn: dict[str, int] = {}
        """Of askers who have had a turn: the first that they may have again."""
        self._turn = 0
        """That is under way."""
        self._order = 0
        self._waiting = 0

    def put(self, asker: str, item: T) -> bool:
        """False, and nothing is kept, when too much is waiting."""
        queue = self._queues.get(asker)
        if self._waiting >= self.most or (queue is not None and len(queue) >= self.each):
            return False
        if queue is None:
            queue = self._queues[asker] = deque()
            self._push(asker)
        queue.append(item)
        self._waiting += 1
        return True

    def take(self, passing_over: Collection[str] = ()) -> T | None:
        """The oldest item of the asker whose turn it is, of those who are not passed over: they keep their turn."""
        passed = []
        try:
            while self._heads:
                head = heapq.heappop(self._heads)
                if head[2] not in passing_over:
                    return self._take_from(head)
                passed.append(head)
            return None
        finally:
            for head in passed:
                heapq.heappush(self._heads, head)

    def take_all(self) -> list[T]:
        """Everything, in the order of the turns."""
        items = []
        while (item := self.take()) is not None:
            items.append(item)
        return items

    def ahead(self, asker: str) -> int:
        """How many would have their turn before a further item of this asker, at most."""
        own = len(self._queues.get(asker, ()))
        if own:
            return min(self._waiting, (own + 1) * len(self._heads))
        turn = self._turn_of(asker)
        return sum(min(len(self._queues[other]), turn - first + 1) for first, _, other in self._heads if first <= turn)

    def __len__(self) -> int:
        return self._waiting

    @property
    def askers(self) -> frozenset[str]:
        """Of whom something is waiting."""
        return frozenset(self._queues)

    def _take_from(self, head: tuple[int, int, str]) -> T:
        self._turn, _, asker = head
        queue = self._queues[asker]
        item = queue.popleft()
        self._waiting -= 1
        self._next_turn[asker] = self._turn + 1
        if queue:
            self._push(asker)
        else:
            del self._queues[asker]
        if len(self._next_turn) > FORGET_FROM:
            self._next_turn = {who: turn for who, turn in self._next_turn.items() if turn > self._turn}
        return item

    def _push(self, asker: str) -> None:
        self._order += 1
        heapq.heappush(self._heads, (self._turn_of(asker), self._order, asker))

    def _turn_of(self, asker: str) -> int:
        return max(self._turn, self._next_turn.get(asker, 0))
