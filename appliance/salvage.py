"""What can still be had from a damaged outbox: set the file aside, read the rows that prove to be whole."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from appliance.outbox_rows import Stream, document_crc, place, seq_of

logger = logging.getLogger(__name__)

SECONDS = 5.0
"""Longest search: a device that is up again soon matters more than the last old row."""
DAMAGED_STRETCHES = 256
"""Unreadable stretches that are jumped over before a direction is given up."""
KEPT_FILES = 2
"""Damaged files kept for whoever wants to know what happened; older ones are deleted."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """A row whose checksum fits: it keeps its identity and its bytes, so that it can only ever repeat itself."""

    stream: Stream
    seq: int
    priority: int
    ordinal: int
    accepted_ns: int
    topic: bytes
    payload: bytes


def set_aside(path: Path) -> Path:
    """Rename the file and its log, which belong together, to `*.bad-<time>`; returns the new name. Raises OSError."""
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%f")
    bad = path.with_name(f"{path.name}.bad-{moment}")
    for suffix in ("-wal", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(bad.with_name(bad.name + suffix))
    olds = sorted(found for found in path.parent.glob(f"{path.name}.bad-*") if not found.name.endswith("-wal"))
    for old in olds[:-KEPT_FILES]:
        for suffix in ("", "-wal", "-shm"):
            old.with_name(old.name + suffix).unlink(missing_ok=True)
    return bad


def salvage(bad: Path) -> Iterator[Salvaged]:
    """Unsent rows of a damaged file, each stream in order, as long as `SECONDS` allow. Raises nothing."""
    if not bad.exists():
        return
    deadline_s = time.monotonic() + SECONDS
    with closing(sqlite3.connect(bad, isolation_level=None, timeout=0)) as database:
        database.text_factory = bytes
        try:
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            rows = database.execute("SELECT * FROM stream").fetchall()
        except (sqlite3.Error, OverflowError) as e:
            logger.warning("%s: nothing to salvage: %s", bad, e)
            return
        whole = [stream for row in rows if (stream := Stream.from_row(row)) is not None]
        for stream in {(stream.name, stream.epoch): stream for stream in whole}.values():
            yield from _whole_rows(database, stream, deadline_s)


def _whole_rows(database: sqlite3.Connection, stream: Stream, deadline_s: float) -> Iterator[Salvaged]:
    """Rows above `acknowledged`, in order; jumps over what cannot be read in steps that double."""
    at, end = place(stream.number, stream.acknowledged) + 1, place(stream.number + 1, 0)
    step, stretches = 1, 0
    while at < end and stretches < DAMAGED_STRETCHES and time.monotonic() < deadline_s:
        try:
            cursor = database.execute(
                "SELECT place, priority, ordinal, accepted_ns, topic, payload, crc FROM document "
                "NOT INDEXED WHERE place >= ? AND place < ? ORDER BY place",
                (at, end),
            )
            for row in cursor:
                if not isinstance(row[0], int) or time.monotonic() > deadline_s:
                    break
                if row[0] < at:
                    continue  # a damaged tree may show a row twice
                at, step = row[0] + 1, 1
                if (whole := _whole(stream, row)) is not None:
                    yield whole
            return
        except (sqlite3.Error, OverflowError):
            stretches += 1
            at += step
            step *= 2


def _whole(stream: Stream, row: tuple[object, ...]) -> Salvaged | None:
    at, priority, ordinal, accepted_ns, topic, payload, crc = row
    if not (isinstance(at, int) and isinstance(priority, int) and isinstance(ordinal, int)):
        return None
    if not (isinstance(accepted_ns, int) and isinstance(topic, bytes) and isinstance(payload, bytes)):
        return None
    if crc != document_crc(stream, seq_of(at), priority, topic, payload):
        return None
    return Salvaged(stream, seq_of(at), priority, ordinal, accepted_ns, topic, payload)
