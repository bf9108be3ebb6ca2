"""The outbox's connection to SQLite: transactions that are durable or cheap, and errors with a name."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance import outbox_file
from appliance.outbox_file import OutboxDamaged, Shape
from appliance.outbox_rows import Stream, place


class Database:
    """One connection, one thread. `on_rollback` is called after a transaction was undone."""

    def __init__(self, path: Path, shape: Shape, on_rollback: Callable[[], None]) -> None:
        self.raw = outbox_file.connect(path, shape)
        self.damage = ""
        """What was found to be wrong with the file while it was in use."""
        self._path = path
        self._on_rollback = on_rollback
        self._durable = True

    def close(self) -> None:
        self.raw.close()

    @contextmanager
    def naming_errors(self) -> Iterator[None]:
        """SQLite's errors leave as OutboxError, OutboxFull or OutboxDamaged."""
        try:
            yield
        except (sqlite3.Error, OverflowError) as e:
            error = outbox_file.named(e, self._path)
            if isinstance(error, OutboxDamaged):
                self.damage = str(error)
            raise error from e

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """All or nothing. A durable one survives a power cut, and makes everything before it survive too; one that is
        not survives the death of the process, and costs no wait for the disk."""
        with self.naming_errors():
            if durable != self._durable:
                self.raw.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            self.raw.execute("BEGIN IMMEDIATE")
            try:
                yield self.raw
                self.raw.execute("COMMIT")
            except BaseException:
                if self.raw.in_transaction:
                    self.raw.execute("ROLLBACK")
                self._on_rollback()
                raise

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self.naming_errors():
            return self.raw.execute(query, values).fetchall()

    def number(self, query: str, *values: object) -> int:
        """The one whole number a query gives; OutboxDamaged for anything else."""
        rows = self.rows(query, *values)
        if len(rows) != 1 or not isinstance(rows[0][0], int):
            raise OutboxDamaged(f"{self._path}: a number was expected, found {rows[:1]}")
        return rows[0][0]

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

    def write_streams(self, streams: Iterable[Stream]) -> None:
        """Inside a transaction."""
        self.raw.executemany(
            "INSERT OR REPLACE INTO stream VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", [stream.row() for stream in streams]
        )


def text(value: object) -> str:
    """A text column as read: bytes, which damage may have made invalid."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
