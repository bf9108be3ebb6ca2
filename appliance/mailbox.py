"""The only way from one thread to another: it never blocks its writer and counts what it drops."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """A bounded queue whose oldest item gives way to the newest.

    `size=1` keeps only the newest (video); a larger size keeps a short queue (audio, events). Several mailboxes may
    share one `ready` condition, so that one thread waits for all of them.
    """

    def __init__(self, size: int = 1, ready: threading.Condition | None = None) -> None:
        self._items: deque[T] = deque()
        self._size = size
        self._ready = ready if ready is not None else threading.Condition()
        self._dropped = 0
        self._closed = False

    def put(self, item: T) -> None:
        """Leave an item; never blocks. Once closed, items are dropped and counted."""
        with self._ready:
            if self._closed:
                self._dropped += 1
                return
            if len(self._items) >= self._size:
                self._items.popleft()
                self._dropped += 1
            self._items.append(item)
            self._ready.notify_all()

    def take(self, timeout_s: float | None = None) -> T | None:
        """The oldest item, or None after `timeout_s` or once closed and empty."""
        with self._ready:
            self._ready.wait_for(lambda: self._items or self._closed, timeout_s)
            return self._items.popleft() if self._items else None

    def take_all(self, timeout_s: float | None = None, most: int | None = None) -> list[T]:
        """Every waiting item (at most `most`), oldest first; empty after `timeout_s` or once closed and empty."""
        with self._ready:
            self._ready.wait_for(lambda: self._items or self._closed, timeout_s)
            count = len(self._items) if most is None else min(most, len(self._items))
            return [self._items.popleft() for _ in range(count)]

    def close(self) -> None:
        """Wake every reader; what is waiting can still be taken."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def dropped(self) -> int:
        """Items that gave way or came after `close`, ever."""
        return self._dropped

    def __len__(self) -> int:
        return len(self._items)
