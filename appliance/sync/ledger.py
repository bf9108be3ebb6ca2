"""What the device knows of its models: one SQLite file, of which every change survives a power cut.

Several processes may use it at once: the daemon, and a person's commands.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from appliance.sync.states import State
from engines.durable import make_folder

logger = logging.getLogger(__name__)

BUSY_S = 10.0
HISTORY_MOST = 1000
"""Lines kept; the oldest give way."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    model TEXT PRIMARY KEY, version TEXT NOT NULL, state TEXT NOT NULL, since_s REAL NOT NULL,
    activate INTEGER NOT NULL, serial INTEGER NOT NULL, digest TEXT NOT NULL, previous TEXT NOT NULL,
    starts INTEGER NOT NULL, done_bytes INTEGER NOT NULL, total_bytes INTEGER NOT NULL, reason TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS history (
    id INTEGER PRIMARY KEY, at_s REAL NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL, event TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS denied (digest TEXT PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL,
    reason TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS mark (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS note (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


class LedgerError(Exception):
    """The ledger cannot be read or written; the message says why."""


@dataclass(frozen=True, slots=True)
class Job:
    """How far a version of a model is. The state says what comes next: everything before it is done and on the disk."""

    model: str
    version: str
    state: State
    since_s: float
    """Seconds since 1970 by the wall clock, for people."""
    activate: bool
    """Whether it is to become the active one; otherwise it waits once it is ready."""
    serial: int = 0
    digest: str = ""
    """Of its manifest; empty before it was fetched."""
    previous: str = ""
    """Version that was active before, to which it returns (`slots.NOTHING`: none was); empty before it was activated,
    and once it has returned."""
    starts: int = 0
    """How often the appliance was started while it ran in shadow; then, in its probation."""
    done_bytes: int = 0
    total_bytes: int = 0
    reason: str = ""
    """Why it is where it is, where there is something to say."""


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened."""

    at_s: float
    model: str
    version: str
    event: str
    reason: str


class Ledger:
    """Opened with `with`, and used, on one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw: sqlite3.Connection | None = None

    def __enter__(self) -> Ledger:
        """A file that is none is set aside: a device starts, whatever its disk did. Raises LedgerError."""
        try:
            make_folder(self._path.parent)
            try:
                self._raw = self._connect()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                aside = self._path.with_name(f"{self._path.name}.damaged")
                logger.error("%s: %s; set aside as %s, a new one begins", self._path, error, aside.name)
                for suffix in ("-wal", "-shm"):
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
                self._path.replace(aside)
                self._raw = self._connect()
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"{self._path}: cannot be used: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def _connect(self) -> sqlite3.Connection:
        raw = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None)
        try:
            raw.execute("PRAGMA journal_mode=WAL")
            raw.execute("PRAGMA synchronous=FULL")
            raw.executescript(_SCHEMA)
        except BaseException:
            raw.close()
            raise
        return raw

    # -- jobs -----------------------------------------------------------------------------------------------------

    def jobs(self) -> tuple[Job, ...]:
        """Of every model, by name."""
        return tuple(_job(row) for row in self._rows("SELECT * FROM job ORDER BY model"))

    def job(self, model: str) -> Job | None:
        rows = self._rows("SELECT * FROM job WHERE model = ?", model)
        return _job(rows[0]) if rows else None

    def put(self, job: Job, event: str = "") -> Job:
        """Write a job in the place of the one before; `event`: for the history, in the same transaction."""
        with self._transaction() as raw:
            marks = ", ".join("?" * len(fields(Job)))
            raw.execute(f"INSERT OR REPLACE INTO job VALUES ({marks})", astuple(job))  # noqa: S608  # question marks
            if event:
                self._tell(raw, job.model, job.version, event, job.reason)
        return job

    def move(self, job: Job, state: State, event: str = "", **changes: Any) -> Job:
        """The job in its next state, written."""
        return self.put(replace(job, state=state, since_s=time.time(), **changes), event)

    # -- what happened --------------------------------------------------------------------------------------------

    def tell(self, model: str, version: str, event: str, reason: str = "") -> None:
        with self._transaction() as raw:
            self._tell(raw, model, version, event, reason)

    def _tell(self, raw: sqlite3.Connection, model: str, version: str, event: str, reason: str) -> None:
        values = (time.time(), model, version, event, reason)
        last = raw.execute("INSERT INTO history VALUES (NULL, ?, ?, ?, ?, ?)", values).lastrowid or 0
        raw.execute("DELETE FROM history WHERE id <= ?", (last - HISTORY_MOST,))

    def history(self, model: str | None = None, most: int = HISTORY_MOST) -> list[Line]:
        """The newest first."""
        where, values = ("WHERE model = ?", (model,)) if model else ("", ())
        query = f"SELECT at_s, model, version, event, reason FROM history {where} ORDER BY id DESC LIMIT ?"  # noqa: S608  # no value in it
        return [Line(*row) for row in self._rows(query, *values, most)]

    # -- what is refused ------------------------------------------------------------------------------------------

    def deny(self, digest: str, model: str, version: str, reason: str) -> None:
        """Never try this content again."""
        with self._transaction() as raw:
            raw.execute("INSERT OR REPLACE INTO denied VALUES (?, ?, ?, ?)", (digest, model, version, reason))

    def denied(self, digest: str) -> str | None:
        """Why this content is not tried again; None: it is not denied."""
        rows = self._rows("SELECT reason FROM denied WHERE digest = ?", digest)
        return str(rows[0][0]) if rows else None

    def forgive(self, model: str, version: str) -> int:
        """A person wants it tried again; how many contents were denied."""
        with self._transaction() as raw:
            return raw.execute("DELETE FROM denied WHERE model = ? AND version = ?", (model, version)).rowcount

    # -- numbers that never fall, and texts -----------------------------------------------------------------------

    def mark(self, key: str) -> int:
        """0 when it was never raised."""
        rows = self._rows("SELECT value FROM mark WHERE key = ?", key)
        return int(rows[0][0]) if rows else 0

    def raise_mark(self, key: str, value: int) -> int:
        """To this value, unless it is higher already; what it is now."""
        with self._transaction() as raw:
            raw.execute(
                "INSERT INTO mark VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value)",
                (key, value),
            )
        return self.mark(key)

    def note(self, key: str) -> Any:
        """A JSON value; None when nothing is noted."""
        rows = self._rows("SELECT value FROM note WHERE key = ?", key)
        return json.loads(rows[0][0]) if rows else None

    def notes(self, prefix: str) -> dict[str, Any]:
        """What is noted under keys that begin so, by the rest of the key."""
        rows = self._rows("SELECT key, value FROM note WHERE substr(key, 1, ?) = ?", len(prefix), prefix)
        return {str(key)[len(prefix) :]: json.loads(value) for key, value in rows}

    def put_note(self, key: str, value: Any) -> None:
        """None takes it away."""
        with self._transaction() as raw:
            if value is None:
                raw.execute("DELETE FROM note WHERE key = ?", (key,))
            else:
                raw.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (key, json.dumps(value)))

    # -- SQLite ---------------------------------------------------------------------------------------------------

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return self._open.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise LedgerError(f"{self._path}: cannot be read: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        raw = self._open
        try:
            raw.execute("BEGIN IMMEDIATE")
            try:
                yield raw
                raw.execute("COMMIT")
            except BaseException:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise LedgerError(f"{self._path}: cannot be written: {error}") from error

    @property
    def _open(self) -> sqlite3.Connection:
        assert self._raw is not None, "a ledger is used inside `with`"
        return self._raw


def _job(row: tuple[Any, ...]) -> Job:
    model, version, state, since_s, activate, *rest = row
    return Job(model, version, State(state), since_s, bool(activate), *rest)
