"""What was dropped: counted in the transaction that drops it, announced in the stream it is missing from."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.outbox_database import Database, text
from appliance.outbox_rows import Stream, place


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


class Gaps:
    """Used inside the transactions of an outbox."""

    def __init__(self, database: Database) -> None:
        self.waiting = database.number("SELECT count(*) FROM gap") > 0
        """Whether there may be something to announce."""
        self._database = database

    def note(self, stream: Stream, seqs: Sequence[int], reason: str, topic: bytes) -> None:
        """These are gone. Adds to what is not yet announced for the same reason."""
        self._database.raw.execute(
            "INSERT INTO gap VALUES (?, ?, 0, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "first = min(first, excluded.first), last = max(last, excluded.last), "
            "count = count + excluded.count, topic = excluded.topic",
            (stream.number, reason, min(seqs), max(seqs), len(seqs), topic),
        )
        self.waiting = True

    def drop(self, stream: Stream, seqs: Sequence[int], reason: str, topic: bytes) -> None:
        """These are gone for good: count them and note the gap. The caller deletes the rows."""
        stream.dropped += len(seqs)
        self._database.raw.execute(
            "INSERT INTO dropped VALUES (?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count",
            (reason, len(seqs)),
        )
        self.note(stream, seqs, reason, topic)

    def to_announce(self, streams: dict[int, Stream]) -> list[Dropped]:
        """One announcement per stream and reason is on its way at a time; meanwhile further drops add up."""
        rows = self._database.rows(
            "SELECT stream, reason, first, last, count, topic FROM gap WHERE announced = 0 AND NOT EXISTS "
            "(SELECT 1 FROM gap AS other WHERE other.stream = gap.stream AND other.reason = gap.reason "
            "AND other.announced > 0)"
        )
        self.waiting = False
        return [
            Dropped(number, streams[number].name, streams[number].epoch, first, last, count, text(reason), text(topic))
            for number, reason, first, last, count, topic in rows
            if number in streams
        ]

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


def bury(database: Database, gaps: Gaps, stream: Stream, seq: int, reason: str, keep: int) -> bool:
    """Move a document that no receiver will take among the dead letters, of which the newest `keep` stay.

    Inside a transaction. False when it is not there.
    """
    at = place(stream.number, seq)
    row = database.raw.execute("SELECT topic, payload FROM document WHERE place = ?", (at,)).fetchone()
    if row is None:
        return False
    topic, payload = row
    identity = f"{stream.name} {stream.epoch} {seq}"
    database.raw.execute("DELETE FROM document WHERE place = ?", (at,))
    database.raw.execute(
        "INSERT INTO dead (identity, buried_ns, topic, payload, reason) VALUES (?, ?, ?, ?, ?)",
        (identity, time.time_ns(), topic, payload, reason),
    )
    database.raw.execute("DELETE FROM dead WHERE id <= (SELECT max(id) FROM dead) - ?", (keep,))
    stream.stored -= 1
    stream.dead += 1
    gaps.note(stream, [seq], reason, topic)
    return True
