"""Who watches: each has a place for the newest of everything, so that a slow one loses pictures and holds up nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable, Iterable

from appliance.page.record import Record

QUEUE = 200
"""Records without a place (events, sound) that a viewer may be behind."""
MOST_VIEWERS = 32


class Viewer:
    """One open stream. Lives on the event loop; nothing here blocks."""

    def __init__(self) -> None:
        self.lost = 0
        """Records that gave way to newer ones."""
        self._newest: dict[Hashable, Record] = {}
        self._queue: deque[Record] = deque()
        self._news = asyncio.Event()

    def put(self, record: Record) -> None:
        if record.place is None:
            if len(self._queue) >= QUEUE:
                self._queue.popleft()
                self.lost += 1
            self._queue.append(record)
        else:
            # What is newer goes to the end, so that no source waits for another one's flood.
            self.lost += self._newest.pop(record.place, None) is not None
            self._newest[record.place] = record
        self._news.set()

    async def next(self, within_s: float) -> bytes:
        """The next piece of the stream; empty when nothing came in time."""
        try:
            await asyncio.wait_for(self._news.wait(), within_s)
        except asyncio.TimeoutError:
            return b""
        if self._queue:
            taken = b"".join(record.data for record in self._queue)
            self._queue.clear()
        else:
            taken = self._newest.pop(next(iter(self._newest))).data
        if not self._newest:
            self._news.clear()
        return taken


class Viewers:
    """All of them. Of the event loop."""

    def __init__(self) -> None:
        self._open: list[Viewer] = []

    def __len__(self) -> int:
        return len(self._open)

    def add(self) -> Viewer:
        viewer = Viewer()
        self._open.append(viewer)
        return viewer

    def remove(self, viewer: Viewer) -> None:
        self._open.remove(viewer)

    def show(self, records: Iterable[tuple[Viewer | None, Record]]) -> None:
        """Each to its viewer, or to all of them."""
        for whom, record in records:
            for viewer in self._open if whom is None else (whom,):
                viewer.put(record)
