"""What was dropped: counted in the transaction that drops it, announced in the stream it is missing from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.outbox.database import Database, text
from appliance.outbox.rows import Document, Stream, place

ANNOUNCEMENT = 100
"""Priority of an announcement: never evicted. At most one per stream and reason is stored."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Documents of a stream that are gone and not yet announced.

    All lie between `first` and `last`; documents in between that are not gone come before the announcement, so a
    receiver who has it knows of every hole below whether to wait.
    """

    stream: int
    name: str
    epoch: str
    first: int
    last: int
    count: int
    reason: str
    topic: str
    """Where the youngest of them would have gone, and the announcement will."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Documents of one stream: so many of those from `first` to `last`."""

    first: int
    last: int
    count: int

    @classmethod
    def of(cls, seqs: Sequence[int]) -> Gone:
        return cls(min(seqs), max(seqs), len(seqs))


class Gaps:
    """Used inside the transactions of an outbox."""

    def __init__(self, database: Database) -> None:
        self.waiting = database.number("SELECT count(*) FROM gap") > 0
        """Whether there may be something to announce."""
        self._database = database

    def note(self, stream: Stream, gone: Gone, reason: str, topic: bytes) -> None:
        """Adds to what is not yet announced for the same reason. `topic` is empty where it is not known."""
        self._database.raw.execute(
            "INSERT INTO gap VALUES (?, ?, 0, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "first = min(first, excluded.first), last = max(last, excluded.last), "
            "count = count + excluded.count, topic = iif(excluded.topic = x'', topic, excluded.topic)",
            (stream.number, reason, gone.first, gone.last, gone.count, topic),
        )
        self.waiting = True

    def drop(self, stream: Stream, gone: Gone, reason: str, topic: bytes) -> None:
        """Gone for good: count it and note the gap. The caller deletes the rows."""
        stream.dropped += gone.count
        self._database.raw.execute(
            "INSERT INTO dropped VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (reason, gone.count),
        )
        self.note(stream, gone, reason, topic)

    def to_announce(self, streams: Mapping[int, Stream]) -> list[Dropped]:
        """One announcement per stream and reason is on its way at a time; meanwhile further drops add up.

        An announcement whose topic is not known waits for a document of its stream.
        """
        rows = self._database.rows(
            "SELECT stream, reason, first, last, count, topic FROM gap WHERE announced = 0 AND NOT EXISTS "
            "(SELECT 1 FROM gap AS other WHERE other.stream = gap.stream AND other.reason = gap.reason "
            "AND other.announced > 0)"
        )
        self.waiting = False
        found = []
        for number, reason, first, last, count, topic in rows:
            stream = streams[number]
            topic = topic or self._topic(stream.name, streams.values())
            if topic:
                found.append(Dropped(number, stream.name, stream.epoch, first, last, count, text(reason), text(topic)))
            else:
                self.waiting = True
        return found

    def _topic(self, name: str, streams: Iterable[Stream]) -> bytes:
        """Where documents of a stream of this name go; empty when none is here."""
        for stream in (stream for stream in streams if stream.name == name):
            for row in self._database.newest(stream, 1):
                if (document := Document.from_row(row, stream)) is not None:
                    return document.topic
        return b""

    def announced(self, gap: Dropped, at: int) -> None:
        """The announcement lies in the outbox at this place."""
        self._database.raw.execute(
            "UPDATE gap SET announced = ? WHERE stream = ? AND reason = ? AND announced = 0",
            (at, gap.stream, gap.reason),
        )

    def acknowledged(self, stream: Stream, after: int, through: int) -> None:
        """The receiver has these: announcements among them are done, and the next may follow."""
        done = self._database.raw.execute(
            "DELETE FROM gap WHERE announced > ? AND announced <= ?",
            (place(stream.number, after), place(stream.number, through)),
        )
        self.waiting = self.waiting or done.rowcount > 0

    def by_reason(self) -> dict[str, int]:
        """Documents dropped, ever, since this file was made."""
        return {text(reason): count for reason, count in self._database.rows("SELECT reason, count FROM dropped")}
