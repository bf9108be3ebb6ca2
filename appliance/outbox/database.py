"""The outbox's connection to SQLite: transactions that are durable or cheap, and errors with a name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from appliance.outbox import file as outbox_file
from appliance.outbox.file import OutboxDamaged, OutboxError, Shape
from appliance.outbox.rows import Document, Stream, place, seq_of


class Follower(Protocol):
    """Keeps in step with the transactions of a database."""

    def write(self) -> None:
        """The transaction is about to be done."""

    def keep(self) -> None:
        """It was done."""

    def undo(self) -> None:
        """It was undone."""


class Database:
    """One connection, one thread."""

    def __init__(self, path: Path, shape: Shape) -> None:
        """Raises OutboxError, OutboxDamaged, OutboxFull."""
        self.path = path
        self.raw = outbox_file.connect(path, shape)
        self.follower: Follower | None = None
        self.damage = ""
        """What was found to be wrong with the file while it was in use."""
        self._level = "FULL"

    def close(self) -> None:
        self.raw.close()

    @contextmanager
    def naming_errors(self) -> Iterator[None]:
        """SQLite's errors leave as OutboxError, OutboxFull or OutboxDamaged."""
        try:
            yield
        except (sqlite3.Error, OverflowError) as e:
            raise self._named(e) from e

    def _named(self, error: Exception) -> OutboxError:
        named = outbox_file.named(error, self.path)
        if isinstance(named, OutboxDamaged):
            self.damage = str(named)
        return named

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """All or nothing. A durable one survives a power cut, and makes everything before it survive too; one that is
        not survives the death of the process, and costs no wait for the disk."""
        try:
            if durable != (self._level == "FULL") and self._level != "OFF":
                self._set_level("FULL" if durable else "NORMAL")
            self.raw.execute("BEGIN IMMEDIATE")
            try:
                yield self.raw
                if self.follower is not None:
                    self.follower.write()
                self.raw.execute("COMMIT")
            except BaseException:
                if self.raw.in_transaction:
                    self.raw.execute("ROLLBACK")
                if self.follower is not None:
                    self.follower.undo()
                raise
        except (sqlite3.Error, OverflowError) as e:
            raise self._named(e) from e
        if self.follower is not None:
            self.follower.keep()

    def _set_level(self, level: str) -> None:
        self.raw.execute(f"PRAGMA synchronous={level}")
        self._level = level

    def never_wait(self) -> None:
        """From now on nothing survives a power cut, until the file was closed and synced."""
        self._set_level("OFF")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self.naming_errors():
            return self.raw.execute(query, values).fetchall()

    def number(self, query: str, *values: object) -> int:
        """The one whole number a query gives; OutboxDamaged for anything else."""
        rows = self.rows(query, *values)
        if len(rows) != 1 or not isinstance(rows[0][0], int):
            raise OutboxDamaged(f"{self.path}: a number was expected, found {rows[:1]}")
        return rows[0][0]

    @property
    def is_new(self) -> bool:
        """Whether nothing was ever written."""
        return not self.rows("SELECT name FROM sqlite_master")

    def about(self, key: str) -> str:
        """A fact about the file; empty when it is not there."""
        rows = self.rows("SELECT value FROM about WHERE key = ?", key)
        return text(rows[0][0]) if rows else ""

    def note(self, key: str, value: str) -> None:
        """Write such a fact down, inside a transaction."""
        self.raw.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, value))

    def count(self, stream: Stream, after: int, through: int) -> int:
        """Documents of a stream with `after` < seq <= `through`."""
        return self.number(
            "SELECT count(*) FROM document NOT INDEXED WHERE place > ? AND place <= ?",
            place(stream.number, after),
            place(stream.number, through),
        )

    def first(self, stream: Stream) -> int:
        """Primary key of the oldest document of a stream that is still here; 0 when there is none."""
        return self.number(
            "SELECT coalesce(min(place), 0) FROM document NOT INDEXED WHERE place > ? AND place <= ?",
            place(stream.number, 0),
            place(stream.number, stream.last),
        )

    def documents(self, stream: Stream, after: int) -> Iterator[tuple[Any, ...]]:
        """Rows of a stream's documents with `after` < seq, in order."""
        with self.naming_errors():
            yield from self.raw.execute(
                "SELECT * FROM document NOT INDEXED WHERE place > ? AND place <= ? ORDER BY place",
                (place(stream.number, after), place(stream.number, stream.last)),
            )

    def delete(self, stream: Stream, first: int, last: int) -> None:
        """Delete a stretch of documents, inside a transaction."""
        self.raw.execute(
            "DELETE FROM document WHERE place >= ? AND place <= ?",
            (place(stream.number, first), place(stream.number, last)),
        )

    def oldest_ns(self, stream: Stream) -> int:
        """When the oldest document was accepted that waits in a stream; 0 when none does."""
        return self.number(
            "SELECT coalesce(min(accepted_ns), 0) FROM (SELECT accepted_ns FROM document NOT INDEXED "
            "WHERE place > ? AND place <= ? ORDER BY place LIMIT 1)",
            place(stream.number, stream.acknowledged),
            place(stream.number, stream.last),
        )

    def holes(self, stream: Stream, after: int, through: int) -> tuple[int, int]:
        """The first and the last with `after` < seq <= `through` that are not here; there must be one."""
        low, high = place(stream.number, after), place(stream.number, through)
        first = self.number(
            "SELECT coalesce(min(place) + 1, ?1 + 1) FROM document AS this NOT INDEXED "
            "WHERE place > ?1 AND place <= ?2 AND EXISTS (SELECT 1 FROM document WHERE place = ?1 + 1) "
            "AND NOT EXISTS (SELECT 1 FROM document WHERE place = this.place + 1)",
            low,
            high,
        )
        last = self.number(
            "SELECT coalesce(max(place) - 1, ?2) FROM document AS this NOT INDEXED "
            "WHERE place > ?1 AND place <= ?2 AND EXISTS (SELECT 1 FROM document WHERE place = ?2) "
            "AND NOT EXISTS (SELECT 1 FROM document WHERE place = this.place - 1)",
            low,
            high,
        )
        return seq_of(first), seq_of(last)

    def newest(self, stream: Stream, most: int) -> list[tuple[Any, ...]]:
        """Rows of the newest documents of a stream."""
        return self.rows(
            "SELECT * FROM document NOT INDEXED WHERE place > ? AND place <= ? ORDER BY place DESC LIMIT ?",
            place(stream.number, 0),
            place(stream.number, stream.last),
            most,
        )

    def write_log_back(self) -> bool:
        """Bring everything in the log to its place; its space is used again from its beginning. False when it was empty
        already."""
        return bool(self.rows("PRAGMA wal_checkpoint(RESTART)")[0][1] > 0)

    def insert(self, stream: Stream, document: Document, *, again: bool = False) -> bool:
        """Inside a transaction. With `again` it may be here already: then it stays as it is, and the answer is no."""
        verb = "INSERT OR IGNORE" if again else "INSERT"
        return self.raw.execute(f"{verb} INTO document VALUES (?, ?, ?, ?, ?, ?, ?)", document.row(stream)).rowcount > 0

    def write_streams(self, streams: Iterable[Stream]) -> None:
        """Inside a transaction."""
        self.raw.executemany(
            "INSERT OR REPLACE INTO stream VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [stream.row() for stream in streams]
        )


def text(value: object) -> str:
    """A text column as read: bytes, which damage may have made invalid."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
