"""Events on disk until the receiver has them: nothing accepted is lost, and whatever must be dropped is announced.

One SQLite file, one connection, used by the thread that opened it. Shape and reasons: docs/decisions/0003-outbox.md.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from appliance.outbox import file as outbox_file
from appliance.outbox.ballast import Ballast
from appliance.outbox.books import Told
from appliance.outbox.database import Database
from appliance.outbox.dead_letters import bury, dead_letters
from appliance.outbox.figures import CommitTimes, OutboxFigures, figures
from appliance.outbox.file import OutboxError, OutboxFull, Shape
from appliance.outbox.files import Files
from appliance.outbox.gaps import ANNOUNCEMENT, Dropped, Gaps, Gone
from appliance.outbox.high_water import HighWater, Mark
from appliance.outbox.opening import Opening, take_back
from appliance.outbox.replace import copy
from appliance.outbox.room import OVERHEAD_BYTES, Room
from appliance.outbox.rows import Kept, Stream, place, seq_of
from appliance.result import Spool

__all__ = ["DEFAULT_QUOTA_BYTES", "Entry", "Outbox", "OutboxFigures"]

logger = logging.getLogger(__name__)

DEFAULT_QUOTA_BYTES = 256 << 20
RELEASED_AT_ONCE = 500
TRIES = 8
IN_USE = ("", "-wal", ".mark", ".lock")
"""Of an open outbox: what must have its name, or a restart would not find what was accepted."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry:
    """A document to keep. It gets its identity first and is encoded with it."""

    stream: str
    topic: str
    priority: int
    encode: Callable[[Spool], bytes]
    """May be called more than once, with another identity, when the first attempt did not fit."""


class Outbox:
    """Opened with `with`. Every method may raise OutboxError: close this object and open it again later.

    `stream` in arguments is the number of a `Stream`.
    """

    def __init__(self, path: Path, quota_bytes: int = DEFAULT_QUOTA_BYTES) -> None:
        self.damage = ""
        self.salvaged = 0
        self._path = path
        self._shape = Shape.of(quota_bytes)
        self._ballast = Ballast(path.with_name(path.name + ".ballast"), self._shape.unit)
        self._high_water = HighWater(path.with_name(path.name + ".mark"))
        self._opening = Opening(path, self._shape, self._ballast, self._high_water)
        self._condemned = ""
        self._told: Told | None = None
        self._lock: int | None = None
        self._opened: Database | None = None
        self._files = Files({})
        self._in_hand: dict[int, int] = {}
        self._wanted_bytes = 0
        self._commits = CommitTimes()

    # Opening and closing.

    def claim(self) -> None:
        """Make sure that no other process uses this outbox; opening does it too. Raises OutboxError. Any thread."""
        if self._lock is None:
            self._lock = outbox_file.take_lock(self._path)

    def open(self) -> None:
        """Raises OutboxError for a place that cannot be used. A damaged file is replaced, never an error."""
        self.claim()
        try:
            opened = self._opening.open(self._condemned)
            self._opened, self._books = opened.database, opened.books
            self._gaps = Gaps(self._database)
            self._room = Room(self._database, self._books, self._gaps, self._ballast, self._shape)
            if opened.damage:
                self.damage, self.salvaged = opened.damage, opened.saved
            else:
                self._fit(lambda: take_back(self._database, self._books, self._gaps, self._told))
            self._files = Files.of(self._path.with_name(self._path.name + suffix) for suffix in IN_USE)
            self.settle()
        except BaseException:
            self._close()
            raise

    def close(self) -> None:
        """Everything is on the disk already; this only lets go."""
        self._close()
        self._ballast.lay_what_fits()  # for the next start: SQLite deletes its log on closing

    def __enter__(self) -> Outbox:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _close(self) -> None:
        if self._opened is not None:
            self._condemned, self._told = self._opened.damage, self._books.told
            self._opened.close()
            self._opened = None
        self._high_water.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def _database(self) -> Database:
        assert self._opened is not None, "the outbox is not open"
        return self._opened

    def _raise_mark(self) -> None:
        try:
            self._high_water.write(Mark(self.epoch, self._books.accepted_in_epoch))
        except OSError as e:
            logger.warning("%s: its mark cannot be written: %s", self._path, e.strerror)

    # Accepting.

    def append(self, entries: Sequence[Entry]) -> list[Spool]:
        """Keep documents; when this returns they survive a power cut. Gives their identities, in order.

        Of the first ones only, if the disk failed before the others were kept: hand those in again.

        When there is no room, the oldest of the lowest priority make it; a document that matters less than everything
        stored is dropped itself. Both are counted and announced.
        """
        least_priority = min(entry.priority for entry in entries)
        try:
            return self._fit(lambda: self._store(entries), least_priority)
        except OutboxFull:
            if len(entries) == 1:
                return [self._fit(lambda: self._refuse(entries[0]))]
        half = len(entries) // 2
        places = self.append(entries[:half])
        with suppress(OutboxError):  # whoever hands them in again meets it again, if it lasts
            if len(places) == half:
                places += self.append(entries[half:])
        return places

    def _fit(self, write: Callable[[], T], most_priority: int = -1) -> T:
        """Do it, if need be with room made for it from what is not above a priority. Raises OutboxFull."""
        for attempt in range(TRIES):
            self._wanted_bytes = 0
            try:
                return write()
            except OutboxFull:
                most_priority = min(most_priority, ANNOUNCEMENT - 1)
                if not self._room.make(self._wanted_bytes << attempt, most_priority, self._in_hand):
                    raise
        return write()

    def _store(self, entries: Sequence[Entry], announced: Dropped | None = None) -> list[Spool]:
        started_s, now_ns = time.monotonic(), time.time_ns()
        with self._database.transaction(durable=True):
            places = [self._store_one(entry, now_ns) for entry in entries]
            if announced is not None:
                self._gaps.announced(announced, place(self._books.of(announced.name).number, places[0].seq))
        self._commits.took(time.monotonic() - started_s)
        self._raise_mark()
        return places

    def _store_one(self, entry: Entry, now_ns: int) -> Spool:
        stream = self._books.of(entry.stream)
        spool = self._books.accept(stream)
        topic, payload = entry.topic.encode(), entry.encode(spool)
        self._wanted_bytes += len(payload) + OVERHEAD_BYTES
        if len(payload) > self._shape.largest_document:
            self._gaps.drop(stream, Gone(spool.seq, spool.seq, 1), "too large for the outbox", topic)
        else:
            self._books.store(stream, spool.seq, entry.priority, topic, payload, now_ns)
        return spool

    def _refuse(self, entry: Entry) -> Spool:
        """Accept and drop at once: the stream shows the gap."""
        with self._database.transaction(durable=True):
            stream = self._books.of(entry.stream)
            spool = self._books.accept(stream)
            reason = "disk full" if self._room.disk_full else "outbox full"
            self._gaps.drop(stream, Gone(spool.seq, spool.seq, 1), reason, entry.topic.encode())
        self._raise_mark()
        return spool

    # Sending.

    @property
    def epoch(self) -> str:
        """Of what is accepted now."""
        return self._books.epoch

    def streams(self) -> list[Stream]:
        """Every stream that may have something to send, older epochs first. To be read, not changed."""
        return self._books.open_streams

    @property
    def stream_count(self) -> int:
        return len(self._books.open_streams)

    def stream(self, number: int) -> Stream:
        """The books of one stream as they stand now. To be read, not changed."""
        return self._books.streams[number]

    def read(self, stream: int, after: int, *, most: int, most_bytes: int) -> list[Kept]:
        """The next documents of a stream, at least one if there is any; they are in hand now and not evicted.

        A row that was damaged on the disk is dropped and announced instead.
        """
        kept, damaged = self._books.read(self._books.streams[stream], after, most, most_bytes)
        if damaged:
            self._fit(lambda: self._drop_damaged(stream, damaged))
        if kept:
            self._in_hand[stream] = max(self._in_hand.get(stream, 0), kept[-1].seq)
        return kept

    def _drop_damaged(self, stream: int, seqs: Sequence[int]) -> None:
        books = self._books.streams[stream]
        with self._database.transaction(durable=False):
            for seq in seqs:
                self._database.delete(books, seq, seq)
            self._gaps.drop(books, Gone.of(seqs), "damaged on the disk", topic=b"")

    def put_down(self) -> None:
        """Nothing is in hand any more: what was read will be read again."""
        self._in_hand.clear()

    def acknowledge(self, positions: Mapping[int, int]) -> None:
        """The receiver has these streams up to these numbers. Outlives the process; after a power cut, duplicates."""

        def write() -> None:
            with self._database.transaction(durable=False):
                for number, seq in positions.items():
                    stream = self._books.streams[number]
                    self._gaps.acknowledged(stream, stream.acknowledged, seq)
                    self._books.acknowledge(stream, seq)

        self._fit(write)

    def rewind(self, stream: int, seq: int) -> None:
        """What was acknowledged above `seq` and is still here counts as unsent again."""

        def write() -> None:
            with self._database.transaction(durable=False):
                self._books.rewind(self._books.streams[stream], seq)

        self._fit(write)

    def release(self, stream: int, seq: int) -> None:
        """Delete acknowledged documents up to `seq`, a stretch at a time to keep the log short."""
        books = self._books.streams[stream]
        seq = min(seq, books.acknowledged)
        while 0 < (first := seq_of(self._database.first(books))) <= seq:
            self._release(books, first, min(first + RELEASED_AT_ONCE - 1, seq))

    def _release(self, stream: Stream, first: int, last: int) -> None:
        def write() -> None:
            with self._database.transaction(durable=False):
                self._database.delete(stream, first, last)

        self._fit(write)

    def forget(self, stream: int) -> None:
        """An older epoch's stream has been sent whole: it is among `streams` no more."""
        books = self._books.streams[stream]
        assert books.epoch != self.epoch
        self.release(stream, books.acknowledged)
        self._books.close(books)

    # Dropping, and saying so.

    def bury(self, stream: int, seq: int, reason: str) -> None:
        """Put a document that no receiver will take among the dead letters; its gap is announced."""

        def write() -> None:
            with self._database.transaction(durable=False):
                bury(self._database, self._gaps, self._books.streams[stream], seq, reason)

        self._fit(write, ANNOUNCEMENT)

    def dead_letters(self) -> list[tuple[str, str, bytes, str]]:
        """The newest dead letters, oldest first: identity (stream, epoch, number), topic, payload, reason."""
        return dead_letters(self._database)

    def gaps(self) -> list[Dropped]:
        """What is gone and should be announced now; each is given once. Cheap when there is nothing."""
        return self._gaps.to_announce(self._books.streams) if self._gaps.waiting else []

    def announce(self, gap: Dropped, encode: Callable[[Spool], bytes]) -> Spool:
        """Append the announcement of a gap to the stream of its name, in the present epoch."""
        entry = Entry(gap.name, gap.topic, ANNOUNCEMENT, encode)
        return self._fit(lambda: self._store([entry], announced=gap), ANNOUNCEMENT)[0]

    # Looking after it.

    def settle(self) -> None:
        """Notice that the disk became full, or has space again, or that our files are gone. Called now and then."""
        if gone := self._files.gone():
            self._move_out(gone)
        self._room.settle()

    def _move_out(self, gone: Sequence[Path]) -> None:
        """Copy everything into new files, as long as we hold the old ones, and raise OutboxError: open those.

        Where none can be made the old ones stay in use, though they end with this process.
        """
        words = f"{self._path}: removed or replaced while in use ({', '.join(path.name for path in gone)})"
        assert self._lock is not None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = outbox_file.renew_lock(self._path, self._lock)
            copy(self._database, self._books, self._path, self._shape, self._ballast)
            self._high_water.begin(Mark(self.epoch, self._books.accepted_in_epoch))
        except (OutboxError, OSError) as e:
            words += f"; a restart will lose what waits, for there can be no new files: {e}"
            if words != self.damage:
                logger.error("%s", words)
            self.damage = words
            return
        self.damage = f"{words}; nothing is lost, it goes on in new files"
        raise OutboxError(self.damage)

    def figures(self) -> OutboxFigures:
        """As of now; costs a few queries."""
        return replace(
            figures(self._database, self._books),
            dropped_by_reason=self._gaps.by_reason(),
            used_bytes=self._room.used_bytes,
            quota_bytes=self._shape.quota,
            disk_full=self._room.disk_full,
            sync_p99_ms=self._commits.p99_ms,
            salvaged=self.salvaged,
            damage=self.damage,
        )
