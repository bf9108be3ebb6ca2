"""A sound outbox file in the place of a damaged one: a new epoch, with every document that could be saved.

Or in the place of one that is not there any more, although it is in use: then nothing is lost, nor the epoch.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from appliance.outbox.ballast import Ballast
from appliance.outbox.books import Books, begin
from appliance.outbox.database import Database
from appliance.outbox.file import COMPANIONS, OutboxError, OutboxFull, Shape, no_room
from appliance.outbox.gaps import Gaps, Gone
from appliance.outbox.room import OVERHEAD_BYTES, Room
from appliance.outbox.rows import Document, Stream
from appliance.outbox.salvage import remains, salvage
from appliance.outbox.sqlite_pages import PAGE_BYTES
from engines import durable

logger = logging.getLogger(__name__)

AT_ONCE = 200
"""Documents taken over in one transaction."""
REASON = "the outbox was damaged"
EVERYTHING = 1 << 30
"""A priority that nothing is above."""

TRIES = 8

Row: TypeAlias = "tuple[Stream, Document]"
"""A document and the stream it lay in."""


def replace(path: Path, shape: Shape, ballast: Ballast) -> int:
    """Build a new file beside a damaged one and exchange them; gives the number of documents saved.

    Nothing of the damaged file is touched before the new one is complete: a start that is cut short begins again and
    loses nothing. What is missing is counted and will be announced. Raises OutboxError.
    """
    building = _building(path)
    try:
        forget_damaged(path)
        saved = _build(building, path, shape, ballast)
        _sync_file(building)
        building.rename(_complete(path))
        finish(path)
    except OSError as e:
        raise OutboxError(f"{path}: damaged, and cannot be replaced: {e.strerror}; check the disk") from e
    return saved


def copy(database: Database, books: Books, path: Path, shape: Shape, ballast: Ballast) -> None:
    """Copy an open database to a path at which it does not lie any more; the next opening there takes the copy.

    Another outbox may lie there now, from before a disk was mounted, or after: what waits in it is taken over.
    Raises OutboxError, OSError.
    """
    building = _building(path)
    if shutil.disk_usage(path.parent).free < database.number("PRAGMA page_count") * PAGE_BYTES:
        raise OutboxFull(no_room(path))
    with database.naming_errors(), closing(sqlite3.connect(building)) as target:
        target.execute("PRAGMA journal_mode=OFF")
        target.execute("PRAGMA synchronous=OFF")
        database.raw.backup(target)
    if path.exists():
        with closing(Database(building, shape)) as merged:
            merged.never_wait()
            ours = Books(merged, books.epoch, [stream.copy() for stream in books.streams.values()])
            _merge(merged, ours, path, shape, ballast)
    _sync_file(building)
    building.rename(_complete(path))
    durable.sync(path.parent)


def finish(path: Path) -> None:
    """Exchange the files if a new one is complete: now, or because a start was cut short. Raises OSError."""
    if not _complete(path).exists():
        return
    durable.sync(path.parent)
    damaged = _damaged(path)
    damaged.mkdir(exist_ok=True)
    for part in _parts(path):
        part.rename(damaged / part.name)
    _complete(path).rename(path)
    durable.sync(path.parent)


def forget_damaged(path: Path) -> None:
    """Delete the damaged file that was kept for whoever wants to know what happened: it has nothing more to give."""
    with suppress(OSError):
        for part in _damaged(path).iterdir():
            part.unlink()


def _building(path: Path) -> Path:
    """Where the new file grows; what an earlier attempt left there is deleted. Raises OSError."""
    building = path.with_name(path.name + ".building")
    for part in _parts(building):
        part.unlink()
    return building


def _sync_file(path: Path) -> None:
    """Make its content outlive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _complete(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _damaged(path: Path) -> Path:
    return path.with_name(path.name + ".damaged")


def _parts(path: Path) -> list[Path]:
    """A database file and what lies beside it, the file last."""
    parts = [path.with_name(path.name + suffix) for suffix in reversed(COMPANIONS)]
    return [part for part in parts if part.exists() or part.is_symlink()]


def _build(building: Path, path: Path, shape: Shape, ballast: Ballast) -> int:
    with closing(Database(building, shape)) as database:
        database.never_wait()
        return _merge(database, begin(database, shape), path, shape, ballast)


def _merge(database: Database, books: Books, path: Path, shape: Shape, ballast: Ballast) -> int:
    """Take over what can be saved of a file's streams, unless they are here already, and note what cannot.

    How many documents.
    """
    found = remains(path)
    here = {stream.full_name for stream in books.streams.values()}
    gaps = Gaps(database)
    room = Room(database, books, gaps, ballast, shape)
    room.settle()
    saved = 0
    rows = (row for row in salvage(path, found) if row[0].full_name not in here)
    try:
        for batch in _batches(rows):
            saved += _take_over(database, books, room, batch)
    except OutboxFull:
        logger.error("%s: the disk has no room for the rest of what could be saved", path)
    with database.transaction(durable=True):
        for old in found.streams.values():
            if old.full_name not in here:
                _note_losses(database, books, gaps, old)
    database.write_log_back()
    return saved


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, AT_ONCE)):
        yield batch


def _take_over(database: Database, books: Books, room: Room, batch: Sequence[Row]) -> int:
    """How many were new. When there is no room, the oldest of the lowest priority give way."""
    for _ in range(TRIES):
        try:
            return _insert(database, books, batch)
        except OutboxFull:
            wanted_bytes = sum(len(document.payload) + OVERHEAD_BYTES for _, document in batch)
            if not room.make(wanted_bytes, EVERYTHING, in_hand={}):
                break
    raise OutboxFull(f"{database.path}: no room")


def _insert(database: Database, books: Books, batch: Sequence[Row]) -> int:
    new = 0
    with database.transaction(durable=False):
        for old, document in batch:
            heir = _heir(books, old)
            if database.insert(heir, document, again=True):
                new += 1
                heir.accepted += 1
                heir.last = max(heir.last, document.seq)
    return new


def _heir(books: Books, old: Stream) -> Stream:
    """The stream that keeps an older epoch's documents under their old identity; nothing is ever appended to it."""
    heir = books.of(*old.full_name)
    if not heir.accepted:
        heir.last = heir.acknowledged = old.acknowledged
    return heir


def _note_losses(database: Database, books: Books, gaps: Gaps, old: Stream) -> None:
    """What the old books had and nobody has any more."""
    lost = old.stored - (books.of(*old.full_name).accepted if books.has(old.full_name) else 0)
    if lost > 0:
        heir = _heir(books, old)
        heir.last = max(heir.last, old.last)
        heir.accepted += lost
        first, last = database.holes(heir, heir.acknowledged, heir.last)
        gaps.drop(heir, Gone(first, last, lost), REASON, topic=b"")
