"""What an outbox says of itself."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.outbox.books import Books
from appliance.outbox.database import Database


@dataclass(frozen=True, slots=True)
class OutboxFigures:
    """What the outbox holds and what became of all it accepted: accepted = stored + sent + dropped + dead."""

    epoch: str = ""
    accepted: int = 0
    stored: int = 0
    sent: int = 0
    dropped: int = 0
    dropped_by_reason: Mapping[str, int] | None = None
    dead: int = 0
    used_bytes: int = 0
    quota_bytes: int = 0
    oldest_age_s: float = 0.0
    """Of the oldest document that waits; 0 when none does. By the wall clock."""
    disk_full: bool = False
    sync_p99_ms: float = 0.0
    """Of the last durable commits."""
    salvaged: int = 0
    """Documents taken over from a damaged file when this one was begun."""
    damage: str = ""
    """What was wrong with that file; empty when nothing was."""


class CommitTimes:
    """How long the last durable commits took."""

    def __init__(self) -> None:
        self._ms: deque[float] = deque(maxlen=500)

    def took(self, seconds: float) -> None:
        self._ms.append(seconds * 1e3)

    @property
    def p99_ms(self) -> float:
        """0 before the first."""
        return sorted(self._ms)[int(len(self._ms) * 0.99)] if self._ms else 0.0


def figures(database: Database, books: Books) -> OutboxFigures:
    """What the books say."""
    streams = books.streams.values()
    accepted_ns = [database.oldest_ns(stream) for stream in streams if stream.stored]
    ages_s = [(time.time_ns() - ns) / 1e9 for ns in accepted_ns if ns]
    return OutboxFigures(
        epoch=books.epoch,
        accepted=sum(stream.accepted for stream in streams),
        stored=sum(stream.stored for stream in streams),
        sent=sum(stream.sent for stream in streams),
        dropped=sum(stream.dropped for stream in streams),
        dead=sum(stream.dead for stream in streams),
        oldest_age_s=max([0.0, *ages_s]),
    )
