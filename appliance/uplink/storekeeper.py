"""Puts events into the outbox in groups, and keeps it open; when it cannot be used, the rest goes on without."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeAlias

from appliance import result
from appliance.backoff import Backoff
from appliance.histogram import Histogram
from appliance.outbox.file import OutboxError
from appliance.outbox.outbox import Outbox, OutboxFigures
from appliance.uplink import encoding
from appliance.uplink.outgoing import Spool
from appliance.uplink.pace import Pace
from appliance.uplink.streams import Streams

logger = logging.getLogger(__name__)

GROUP = 64
"""Events that share one write to the disk, at most."""
GROUPS_AT_ONCE = 4
"""Writes in one turn, at most: on a slow disk the thread still shows that it goes on, and sends in between."""
SYNCS_PER_S = 100.0
SYNCS_AT_ONCE = 8
"""A lone event is durable at once; a flood is written in groups, for flash memory wears with every sync."""
MOST_WAITING = 2048
"""Events held in memory while the outbox cannot be used."""
SETTLE_EVERY_S = 1.0

OnAccepted: TypeAlias = Callable[[Sequence[Spool], Sequence[result.Spool]], None]


class Storekeeper:
    """Used by the uplink's thread. `keep` and `tidy` may raise OutboxError: then call `fail`, and go on as before."""

    def __init__(
        self, outbox: Outbox, device: str, open_streams: Callable[[Outbox], Streams], on_accepted: OnAccepted | None
    ) -> None:
        self.streams: Streams | None = None
        """What is to be sent; None while the outbox is not open."""
        self.trouble = ""
        """Why it is not."""
        self.given_up = 0
        """Events that waited in memory in vain."""
        self.times = Histogram()
        """Of events: from handing them over until they are durable."""
        self.incoming_per_s = 0.0
        """Events that become durable, averaged over about a second."""
        self.opening = False
        """Whether the outbox is being opened now, which reads it from end to end. Any thread may look."""
        self._outbox = outbox
        self._device = device
        self._open_streams = open_streams
        self._on_accepted = on_accepted
        self._waiting: list[Spool] = []
        self._pace = Pace(SYNCS_PER_S, at_once=SYNCS_AT_ONCE)
        self._reopen = Backoff(0.5, 30.0)
        self._reopen_at_s = 0.0
        self._settle_at_s = 0.0
        self._came = 0
        self._counted_at_s = 0.0

    @property
    def outbox(self) -> Outbox | None:
        """None while it is not open."""
        return self._outbox if self.streams is not None else None

    @property
    def waiting(self) -> int:
        """Events taken and not yet durable."""
        return len(self._waiting)

    def take(self, item: Spool) -> None:
        """Durable with the next `keep` that may write."""
        self._waiting.append(item)
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[0]
            self.given_up += 1

    def patience_s(self, now_s: float) -> float | None:
        """How long until waiting events may be written; None when there are none."""
        if not self._waiting or self.streams is None:
            return None
        return 0.0 if len(self._waiting) >= GROUP else self._pace.wait_s(now_s)

    def keep(self, now_s: float) -> None:
        """Write when it is time: at once for a lone event, in groups for a flood."""
        if self.streams is None and now_s >= self._reopen_at_s:
            self._open()
        for _ in range(GROUPS_AT_ONCE):
            if self.streams is None or self.patience_s(now_s) != 0.0:
                return
            self._write(self._waiting[:GROUP], self.streams)

    def _write(self, group: list[Spool], streams: Streams) -> None:
        places = self._outbox.append([encoding.entry(item) for item in group])
        group = group[: len(places)]
        del self._waiting[: len(group)]
        self._came += len(group)
        self._pace.spend()
        now_ns = time.monotonic_ns()
        for item in group:
            self.times.add((now_ns - item.made_ns) / 1e9)
        streams.look()
        if self._on_accepted is not None:
            self._on_accepted(group, places)

    def tidy(self, now_s: float, heard_s: float) -> None:
        """A few times a second: delete what is safe, announce what is gone, look at the disk."""
        self._count(now_s)
        if self.streams is None:
            return
        self.streams.tidy(now_s, heard_s)
        for gap in self._outbox.gaps():
            self._outbox.announce(gap, encoding.announcement(gap, self._device))
            self.streams.look()
        if now_s >= self._settle_at_s:
            self._settle_at_s = now_s + SETTLE_EVERY_S
            self._outbox.settle()

    def _count(self, now_s: float) -> None:
        per_s = self._came / max(0.1, now_s - self._counted_at_s)
        self.incoming_per_s += 0.25 * (per_s - self.incoming_per_s)
        self._came = 0
        self._counted_at_s = now_s

    def figures(self) -> OutboxFigures:
        """Of the outbox; all zero while it is not open."""
        return self._outbox.figures() if self.streams is not None else OutboxFigures()

    def _open(self) -> None:
        self.opening = True
        try:
            self._outbox.open()
            self.streams = self._open_streams(self._outbox)
        finally:
            self.opening = False
        self.trouble = ""
        self._reopen.reset()

    def fail(self, error: OutboxError, now_s: float) -> None:
        """Close it, and try again later."""
        wait_s = self._reopen.next_s()
        if str(error) != self.trouble:
            logger.error("%s; next attempt in %.1f s", error, wait_s)
        self.trouble = str(error)
        self._reopen_at_s = now_s + wait_s
        self.close()

    def close(self) -> None:
        """Let go of the outbox, if it is open."""
        if self.streams is not None:
            self.streams = None
            self._outbox.close()
