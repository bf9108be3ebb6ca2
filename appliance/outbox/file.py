"""Opening the outbox's SQLite file: alone, durable, bounded, and only when it is sound."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from errno import EDQUOT, ENOSPC
from pathlib import Path

from appliance.outbox.high_water import Mark
from appliance.outbox.rows import FORMAT, SCHEMA, SEQ_BITS, Stream
from appliance.outbox.sqlite_pages import PAGE_BYTES

OUTBOX = "outbox.db"
"""The outbox's file in the state folder."""
COMPANIONS = ("", "-wal", "-journal")
"""Of a database file: what SQLite keeps beside it and would apply to another file of the same name."""
MAGIC = b"SQLite format 3\0"
_FLOCK = "hhqqi4x"
"""struct flock of fcntl(2): type, whence, start, length, process."""
NO_ROOM = (ENOSPC, EDQUOT)
"""What the system says when the disk is full, or our share of it."""


class OutboxError(Exception):
    """The outbox cannot be used now; the message says why and what to do."""


class OutboxDamaged(OutboxError):
    """The file is not what we wrote."""


class OutboxFull(OutboxError):
    """Quota or disk: no room for this transaction."""


class OutboxTaken(OutboxError):
    """Another process uses this outbox."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How a quota is divided. Everything is in bytes and counts toward the quota."""

    quota: int
    unit: int
    """Size of the ballast, of the largest write-ahead log, and of the part of the file that is there from birth."""

    @classmethod
    def of(cls, quota_bytes: int) -> Shape:
        return cls(quota=quota_bytes, unit=max(16 * PAGE_BYTES, min(1 << 20, quota_bytes // 8)))

    @property
    def most_pages(self) -> int:
        return (self.quota - 2 * self.unit) // PAGE_BYTES

    @property
    def checkpoint_pages(self) -> int:
        """The log is written back at this length; half the largest leaves room for one large transaction."""
        return self.unit // PAGE_BYTES // 2

    @property
    def largest_document(self) -> int:
        return self.unit // 4


def take_lock(path: Path) -> int:
    """Make sure that we are the only process with this outbox; returns the handle that holds the lock.

    A record lock, which dies with the process and does not pass to its children. Raises OutboxTaken, OutboxFull,
    OutboxError.
    """
    lock_path = _lock_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as e:
        if e.errno in NO_ROOM:
            raise OutboxFull(no_room(path)) from e
        raise OutboxError(f"{path}: the outbox cannot be kept here: {e.strerror}; set [device] state_dir") from e
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as e:  # POSIX leaves it open which of the two says "held"
        holder = os.pread(handle, 20, 0).decode(errors="replace").strip()
        os.close(handle)
        raise OutboxTaken(
            f"{path}: another appliance (process {holder or 'unknown'}) uses this outbox: stop it, "
            "or give this one its own [device] state_dir"
        ) from e
    except OSError as e:
        os.close(handle)
        raise OutboxError(f"{lock_path}: cannot be locked: {e.strerror}; set [device] state_dir") from e
    with suppress(OSError):  # a courtesy to whoever comes second; on a full disk it is left out
        os.pwrite(handle, f"{os.getpid():<20}".encode(), 0)
    return handle


def renew_lock(path: Path, handle: int) -> int:
    """The lock again, where its file was removed or replaced; gives the handle that holds it. Raises OutboxError."""
    with suppress(OSError):
        if os.path.samestat(os.fstat(handle), _lock_of(path).stat()):
            return handle  # closing a second handle of the same file would end the lock
    renewed = take_lock(path)
    os.close(handle)
    return renewed


def is_taken(path: Path) -> bool:
    """Whether another process uses this outbox, as far as we may see. Takes no lock: nobody is kept out meanwhile."""
    try:
        handle = os.open(_lock_of(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_ = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, asked))
    finally:
        os.close(handle)
    return bool(kind != fcntl.F_UNLCK)


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def look(path: Path, mark: Mark | None) -> None:
    """Raises OutboxDamaged for what can be seen without SQLite, which would delete a log that has lost its file."""
    for suffix in COMPANIONS:
        part = path.with_name(path.name + suffix)
        if os.path.lexists(part) and not part.is_file():
            raise OutboxDamaged(f"{part}: this is not a file")
    head = _first_bytes(path, len(MAGIC))
    if not head and ((mark is not None and mark.accepted > 0) or _first_bytes(_log_of(path), 1)):
        raise OutboxDamaged(f"{path}: the file is empty, and was not")
    if head and head != MAGIC:
        raise OutboxDamaged(f"{path}: this is not a database")


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _first_bytes(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except FileNotFoundError:
        return b""
    except PermissionError as e:
        raise OutboxError(f"{path}: it cannot be read: {e.strerror}") from e
    except OSError as e:
        raise OutboxDamaged(f"{path}: it cannot be read: {e.strerror}") from e


def connect(path: Path, shape: Shape) -> sqlite3.Connection:
    """One exclusive connection. Raises OutboxError, OutboxDamaged, OutboxFull."""
    try:
        with ExitStack() as on_error:
            database = sqlite3.connect(path, isolation_level=None, timeout=0)
            on_error.callback(database.close)
            database.text_factory = bytes  # a damaged text must not raise in the middle of a row
            database.execute(f"PRAGMA page_size={PAGE_BYTES}")
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute(f"PRAGMA journal_size_limit={shape.unit}")
            database.execute(f"PRAGMA wal_autocheckpoint={shape.checkpoint_pages}")
            database.execute(f"PRAGMA max_page_count={shape.most_pages}")
            on_error.pop_all()
            return database
    except sqlite3.Error as e:
        raise named(e, path) from e


def named(error: Exception, path: Path) -> OutboxError:
    """The name of what happened. SQLite's result code is not to be had before Python 3.11, its words are."""
    words = str(error)
    if "is full" in words:
        return OutboxFull(no_room(path))
    if any(outer in words for outer in ("locked", "unable to open", "readonly", "disk I/O")):
        if _is_full(path.parent):
            return OutboxFull(no_room(path))
        if "locked" in words:
            return OutboxError(f"{path}: another program has this database open: close it")
        return OutboxError(f"{path}: {words}: check the disk and the rights on its folder")
    return OutboxDamaged(f"{path}: {words}")


def no_room(path: Path) -> str:
    """Words for a transaction that does not fit."""
    if _is_full(path.parent):
        return f"{path}: the disk is full: free some space, or set [device] state_dir to another disk"
    return f"{path}: no room: too little is free on the disk, or max_mb under [outbox] is too small"


def _is_full(folder: Path) -> bool:
    """Whether not another page, or not another file, fits on its disk. File systems without a limit tell no files."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < PAGE_BYTES or (disk.f_files > 0 and disk.f_favail == 0)


def create(database: sqlite3.Connection, shape: Shape, epoch: str, boot: str) -> None:
    """Tables, and space that the file keeps however full the disk becomes. Raises sqlite3.Error."""
    database.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA.split(";"):
        database.execute(statement)
    about = {"format": FORMAT, "epoch": epoch, "boot": boot, "created": str(time.time_ns())}
    database.executemany("INSERT INTO about VALUES (?, ?)", about.items())
    database.execute("CREATE TABLE reserve (fill BLOB)")
    database.execute("INSERT INTO reserve VALUES (zeroblob(?))", (shape.unit // 2,))
    database.execute("COMMIT")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database.execute("DROP TABLE reserve")


def check(database: sqlite3.Connection, mark: Mark | None, path: Path) -> tuple[dict[str, str], list[Stream]]:
    """The file's own facts and its streams; raises OutboxDamaged unless all of it is sound and can be read."""
    try:
        return _check(database, mark, path)
    except (sqlite3.Error, OverflowError) as e:
        raise OutboxDamaged(f"{path}: {e}") from e


def _check(database: sqlite3.Connection, mark: Mark | None, path: Path) -> tuple[dict[str, str], list[Stream]]:
    verdict = database.execute("PRAGMA quick_check(1)").fetchall()
    if verdict != [(b"ok",)]:
        raise OutboxDamaged(f"{path}: {_words(verdict)}")
    about = {_text(key): _text(value) for key, value in database.execute("SELECT key, value FROM about")}
    if about.get("format") != FORMAT:
        raise OutboxDamaged(f"{path}: written in format {about.get('format')}, this version reads {FORMAT}")
    rows = database.execute("SELECT * FROM stream ORDER BY number").fetchall()
    streams = [stream for row in rows if (stream := Stream.from_row(row)) is not None]
    if len(streams) != len(rows):
        raise OutboxDamaged(f"{path}: a stream's line has a wrong checksum")
    _check_history(about.get("epoch", ""), streams, mark, path)
    _check_places(database, streams, path)
    return about, streams


def _check_history(epoch: str, streams: list[Stream], mark: Mark | None, path: Path) -> None:
    accepted = sum(stream.last for stream in streams if stream.epoch == epoch)
    if accepted == 0 and (mark is None or mark.epoch != epoch):
        return  # stopped between making the file and making its mark
    if mark is None or mark.epoch != epoch:
        raise OutboxDamaged(f"{path}: nothing proves that it has not lost its newest part (no mark of its epoch)")
    if mark.accepted > accepted:
        raise OutboxDamaged(f"{path}: it has lost its newest part: {accepted} accepted, {mark.accepted} marked")


def _check_places(database: sqlite3.Connection, streams: list[Stream], path: Path) -> None:
    known = {stream.number: stream for stream in streams}
    query = f"SELECT place >> {SEQ_BITS}, max(place) & {(1 << SEQ_BITS) - 1}, count(*) FROM document GROUP BY 1"  # noqa: S608
    for number, highest, _ in database.execute(query):
        stream = known.get(number)
        if stream is None or highest > stream.last:
            raise OutboxDamaged(f"{path}: documents lie where no stream has put any")


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _words(rows: list[tuple[object, ...]]) -> str:
    return "; ".join(_text(row[0]) for row in rows[:3])
