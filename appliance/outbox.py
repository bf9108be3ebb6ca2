"""Events on disk until the receiver has them: nothing accepted is lost, and whatever must be dropped is announced.

One SQLite file, one connection, used by the thread that opened it. Shape and reasons: docs/decisions/0003-outbox.md.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

from appliance import outbox_file
from appliance.ballast import Ballast
from appliance.gaps import Dropped, Gaps, bury
from appliance.high_water import HighWater, Mark
from appliance.outbox_database import Database
from appliance.outbox_file import OutboxDamaged, OutboxError, OutboxFull, Shape
from appliance.outbox_rows import Kept, Stream, document_crc, place, seq_of
from appliance.result import Spool
from appliance.room import OVERHEAD_BYTES, Room
from appliance.salvage import Salvaged, salvage, set_aside

logger = logging.getLogger(__name__)

DEFAULT_QUOTA_BYTES = 256 << 20
ANNOUNCEMENT = 100
"""Priority of the announcement of a gap: never evicted. At most one per stream and reason is stored."""
DEAD_KEPT = 100
RELEASED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """A document to keep. It gets its identity first and is encoded with it."""

    stream: str
    topic: str
    priority: int
    encode: Callable[[Spool], bytes]
    """May be called more than once, with another identity, when the first attempt did not fit."""


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


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _even_when_full(
    method: Callable[Concatenate[Outbox, Arguments], Result],
) -> Callable[Concatenate[Outbox, Arguments], Result]:
    """Somebody may have filled the disk since the last look: then use the reserve and try once more."""

    @wraps(method)
    def call(outbox: Outbox, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return method(outbox, *args, **kwargs)
        except OutboxFull:
            outbox._room.stop_growing()
            return method(outbox, *args, **kwargs)

    return call


class Outbox:
    """Opened with `with`. Every method may raise OutboxError: close this object and open it again later.

    `stream` in arguments is the number of a `Stream`.
    """

    def __init__(self, path: Path, quota_bytes: int = DEFAULT_QUOTA_BYTES) -> None:
        self.epoch = ""
        self.damage = ""
        self.salvaged = 0
        self._path = path
        self._shape = Shape.of(quota_bytes)
        self._ballast = Ballast(path.with_name(path.name + ".ballast"), self._shape.unit)
        self._high_water = HighWater(path.with_name(path.name + ".mark"))
        self._condemned = ""
        self._lock: int | None = None
        self._opened: Database | None = None
        self._streams: dict[int, Stream] = {}
        self._by_name: dict[str, Stream] = {}
        self._in_hand: dict[int, int] = {}
        self._ordinal = 0
        self._sync_ms: deque[float] = deque(maxlen=500)

    def claim(self) -> None:
        """Make sure that no other process uses this outbox; opening does it too. Raises OutboxError. Any thread."""
        if self._lock is None:
            self._lock = outbox_file.take_lock(self._path)

    def open(self) -> None:
        """Raises OutboxError for a place that cannot be used. A damaged file is replaced, never an error."""
        self.claim()
        try:
            self._open()
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
            self._condemned = self._opened.damage
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

    def _open(self) -> None:
        if self._condemned:  # found in use; the check on opening does not see everything
            self._begin_anew(self._condemned)
        else:
            try:
                self._open_file()
            except OutboxFull:
                self._ballast.release()
                self._open_file()
            except OutboxDamaged as e:
                self._begin_anew(str(e))
        self._room.settle()

    def _open_file(self) -> None:
        """Raises OutboxDamaged when there is a file and it is not sound."""
        mark = self._high_water.read()
        self._opened = Database(self._path, self._shape, on_rollback=self._reload)
        with self._database.naming_errors():
            if outbox_file.is_new(self._database.raw):
                if mark is not None and mark.accepted > 0:
                    raise OutboxDamaged(f"{self._path}: the file is empty, and was not")
                self._create()
                return
            about, streams = outbox_file.check(self._database.raw, mark, self._path)
        self.epoch = about["epoch"]
        self._take(streams)
        self._note_boot(about.get("boot", ""))
        self._begin_mark()

    def _create(self) -> None:
        self.epoch = secrets.token_hex(6)
        outbox_file.create(self._database.raw, self._shape, self.epoch, boot_id())
        self._take([])
        self._begin_mark()

    def _begin_mark(self) -> None:
        try:
            self._high_water.begin(Mark(self.epoch, self._accepted_in_epoch()))
        except OSError as e:
            raise OutboxFull(f"{self._path}: its mark cannot be written: {e.strerror}") from e

    def _begin_anew(self, damage: str) -> None:
        """Set the damaged file aside, make a new one with a new epoch, take over every whole row."""
        logger.error("%s; it is set aside and a new outbox begun", damage)
        self.damage = damage
        if self._opened is not None:
            self._opened.close()
        self._high_water.close()
        try:
            bad = set_aside(self._path)
        except OSError as e:
            raise OutboxError(f"{self._path}: damaged, and cannot be renamed: {e.strerror}") from e
        self._opened = Database(self._path, self._shape, on_rollback=self._reload)
        with self._database.naming_errors():
            self._create()
        rows = salvage(bad)
        try:
            while batch := list(islice(rows, RELEASED_AT_ONCE)):
                self._take_over(batch)
        except OutboxFull:
            logger.error("%s: no room for the rest of what could be salvaged; it stays in %s", self._path, bad)
        logger.warning("%s: epoch %s begun, %d documents salvaged", self._path, self.epoch, self.salvaged)

    def _take_over(self, rows: Sequence[Salvaged]) -> None:
        with self._database.transaction(durable=True):
            for row in rows:
                stream = self._heir(row.stream)
                stream.last = row.seq
                stream.accepted += 1
                stream.stored += 1
                self._ordinal = max(self._ordinal, row.ordinal)
                self._insert(stream, row.seq, row.priority, row.ordinal, row.accepted_ns, row.topic, row.payload)
            self._database.write_streams({row.stream.number: self._heir(row.stream) for row in rows}.values())
        self.salvaged += len(rows)

    def _heir(self, old: Stream) -> Stream:
        """The stream that holds an older epoch's rows under their old identity; nothing is ever appended to it."""
        for stream in self._streams.values():
            if (stream.name, stream.epoch) == (old.name, old.epoch):
                return stream
        stream = Stream(self._free_number(), old.name, old.epoch, last=old.acknowledged, acknowledged=old.acknowledged)
        self._streams[stream.number] = stream
        return stream

    def _take(self, streams: list[Stream]) -> None:
        """Build the picture in memory from the file."""
        self._streams = {stream.number: stream for stream in streams}
        self._by_name = {stream.name: stream for stream in streams if stream.epoch == self.epoch}
        for stream in streams:
            stream.stored = self._database.count(stream, stream.acknowledged, stream.last)
        self._ordinal = self._database.number("SELECT coalesce(max(ordinal), 0) FROM document")
        self._gaps = Gaps(self._database)
        self._room = Room(self._database, self._gaps, self._ballast, self._shape, self._path)

    def _reload(self) -> None:
        """A transaction was undone: so is what it did in memory. Counts of streams are written with every change."""
        rows = self._database.raw.execute("SELECT * FROM stream").fetchall()
        streams = {stream.number: stream for row in rows if (stream := Stream.from_row(row)) is not None}
        for number in list(self._streams):
            if number not in streams:
                self._by_name.pop(self._streams.pop(number).name, None)
        for number, stream in streams.items():
            stream.stored = stream.accepted - stream.sent - stream.dropped - stream.dead
            self._streams[number] = stream
            if stream.epoch == self.epoch:
                self._by_name[stream.name] = stream

    def _note_boot(self, before: str) -> None:
        """After a power cut a broker on this machine may have lost what it had acknowledged: send it again."""
        if before == boot_id():
            return
        for stream in self._streams.values():
            first = seq_of(self._database.first(stream))
            if 0 < first <= stream.acknowledged:
                self.rewind(stream.number, first - 1)
        with self._database.transaction(durable=True) as raw:
            raw.execute("UPDATE about SET value = ? WHERE key = 'boot'", (boot_id(),))

    # Accepting.

    def append(self, entries: Sequence[Entry]) -> list[Spool]:
        """Keep documents; when this returns they survive a power cut. Gives their identities, in order.

        When there is no room, the oldest of the lowest priority make it; a document that matters less than everything
        stored is dropped itself. Both are counted and announced.
        """
        for _ in range(8):
            try:
                return self._store(entries)
            except OutboxFull:
                if not self._make_room(entries):
                    break
        if len(entries) > 1:
            half = len(entries) // 2
            return self.append(entries[:half]) + self.append(entries[half:])
        return [self._refuse(entry) for entry in entries]

    def _store(self, entries: Sequence[Entry]) -> list[Spool]:
        started_s = time.monotonic()
        now_ns = time.time_ns()
        spools = []
        self._wanted_bytes = 0
        touched: dict[int, Stream] = {}
        with self._database.transaction(durable=True):
            for entry in entries:
                stream = self._stream(entry.stream)
                touched[stream.number] = stream
                spool = self._next(stream)
                spools.append(spool)
                topic, payload = entry.topic.encode(), entry.encode(spool)
                self._wanted_bytes += len(payload) + OVERHEAD_BYTES
                if len(payload) > self._shape.largest_document:
                    self._gaps.drop(stream, [spool.seq], "too large for the outbox", topic)
                    continue
                self._ordinal += 1
                stream.stored += 1
                self._insert(stream, spool.seq, entry.priority, self._ordinal, now_ns, topic, payload)
            self._database.write_streams(touched.values())
        self._sync_ms.append((time.monotonic() - started_s) * 1e3)
        self._raise_mark()
        return spools

    def _make_room(self, entries: Sequence[Entry]) -> bool:
        most_priority = min(max(entry.priority for entry in entries), ANNOUNCEMENT - 1)
        try:
            return self._room.make(self._wanted_bytes, most_priority, self._streams, self._in_hand)
        except OutboxFull:
            return False

    def _next(self, stream: Stream) -> Spool:
        stream.last += 1
        stream.accepted += 1
        return Spool(stream.name, stream.epoch, stream.last)

    def _insert(
        self, stream: Stream, seq: int, priority: int, ordinal: int, accepted_ns: int, topic: bytes, payload: bytes
    ) -> None:
        crc = document_crc(stream, seq, priority, topic, payload)
        self._database.raw.execute(
            "INSERT INTO document VALUES (?, ?, ?, ?, ?, ?, ?)",
            (place(stream.number, seq), priority, ordinal, accepted_ns, topic, payload, crc),
        )

    @_even_when_full
    def _refuse(self, entry: Entry) -> Spool:
        """Accept and drop at once: the stream shows the gap."""
        with self._database.transaction(durable=True):
            stream = self._stream(entry.stream)
            spool = self._next(stream)
            reason = "disk full" if self._room.disk_full else "outbox full"
            self._gaps.drop(stream, [spool.seq], reason, entry.topic.encode())
            self._database.write_streams([stream])
        self._raise_mark()
        return spool

    def _stream(self, name: str) -> Stream:
        stream = self._by_name.get(name)
        if stream is None:
            stream = Stream(self._free_number(), name, self.epoch)
            self._streams[stream.number] = self._by_name[name] = stream
        return stream

    def _free_number(self) -> int:
        return max(self._streams, default=0) + 1

    def _raise_mark(self) -> None:
        try:
            self._high_water.write(Mark(self.epoch, self._accepted_in_epoch()))
        except OSError as e:
            logger.warning("%s: its mark cannot be written: %s", self._path, e.strerror)

    def _accepted_in_epoch(self) -> int:
        return sum(stream.last for stream in self._by_name.values())

    # Sending.

    def streams(self) -> list[Stream]:
        """Every stream, older epochs first. To be read, not changed."""
        return sorted(self._streams.values(), key=lambda stream: (stream.epoch == self.epoch, stream.number))

    @property
    def stream_count(self) -> int:
        return len(self._streams)

    def stream(self, number: int) -> Stream:
        """The books of one stream as they stand now. To be read, not changed."""
        return self._streams[number]

    def read(self, stream: int, after: int, *, most: int, most_bytes: int) -> list[Kept]:
        """The next documents of a stream, at least one if there is any; they are in hand now and not evicted.

        A row that was damaged on the disk is dropped and announced instead.
        """
        books = self._streams[stream]
        kept: list[Kept] = []
        bad: list[tuple[int, bytes]] = []
        total_bytes = 0
        with self._database.naming_errors():
            rows = self._database.raw.execute(
                "SELECT place, priority, topic, payload, crc FROM document NOT INDEXED "
                "WHERE place > ? AND place <= ? ORDER BY place",
                (place(stream, after), place(stream, books.last)),
            )
            for at, priority, topic, payload, crc in rows:
                if not _whole(books, seq_of(at), priority, topic, payload, crc):
                    bad.append((seq_of(at), topic if isinstance(topic, bytes) else b""))
                    continue
                kept.append(Kept(stream, seq_of(at), topic.decode(), payload))
                total_bytes += len(payload)
                if len(kept) >= most or total_bytes >= most_bytes:
                    break
        for seq, topic in bad:
            self._remove_damaged(books, seq, topic)
        if kept:
            self._in_hand[stream] = max(self._in_hand.get(stream, 0), kept[-1].seq)
        return kept

    @_even_when_full
    def _remove_damaged(self, stream: Stream, seq: int, topic: bytes) -> None:
        with self._database.transaction(durable=False) as raw:
            raw.execute("DELETE FROM document WHERE place = ?", (place(stream.number, seq),))
            stream.stored -= 1
            self._gaps.drop(stream, [seq], "damaged on the disk", topic)
            self._database.write_streams([stream])

    def put_down(self) -> None:
        """Nothing is in hand any more: what was read will be read again."""
        self._in_hand.clear()

    @_even_when_full
    def acknowledge(self, positions: Mapping[int, int]) -> None:
        """The receiver has these streams up to these numbers. Outlives the process; after a power cut, duplicates."""
        with self._database.transaction(durable=False):
            for number, seq in positions.items():
                stream = self._streams[number]
                count = self._database.count(stream, stream.acknowledged, seq)
                stream.sent += count
                stream.stored -= count
                self._gaps.acknowledged(stream, stream.acknowledged, seq)
                stream.acknowledged = seq
            self._database.write_streams(self._streams[number] for number in positions)

    @_even_when_full
    def rewind(self, stream: int, seq: int) -> None:
        """What was acknowledged above `seq` and is still here counts as unsent again."""
        books = self._streams[stream]
        with self._database.transaction(durable=False):
            count = self._database.count(books, seq, books.acknowledged)
            books.sent -= count
            books.stored += count
            books.acknowledged = seq
            self._database.write_streams([books])

    @_even_when_full
    def release(self, stream: int, seq: int) -> None:
        """Delete acknowledged documents up to `seq`, a stretch at a time to keep the log short."""
        books = self._streams[stream]
        seq = min(seq, books.acknowledged)
        first = seq_of(self._database.first(books))
        for start in range(first, seq + 1, RELEASED_AT_ONCE) if first else ():
            end = min(start + RELEASED_AT_ONCE - 1, seq)
            with self._database.transaction(durable=False) as raw:
                raw.execute(
                    "DELETE FROM document WHERE place >= ? AND place <= ?", (place(stream, start), place(stream, end))
                )

    @_even_when_full
    def forget(self, stream: int) -> None:
        """Strike an older epoch's stream that has been sent whole."""
        books = self._streams[stream]
        assert books.epoch != self.epoch
        self.release(stream, books.acknowledged)
        with self._database.transaction(durable=False) as raw:
            raw.execute("DELETE FROM stream WHERE number = ?", (stream,))
        del self._streams[stream]

    # Dropping, and saying so.

    @_even_when_full
    def bury(self, stream: int, seq: int, reason: str) -> None:
        """Put a document that no receiver will take among the dead letters; its gap is announced."""
        books = self._streams[stream]
        with self._database.transaction(durable=False):
            if bury(self._database, self._gaps, books, seq, reason, DEAD_KEPT):
                self._database.write_streams([books])

    def dead_letters(self) -> list[tuple[str, str, bytes, str]]:
        """The newest dead letters, oldest first: identity (stream, epoch, number), topic, payload, reason."""
        rows = self._database.rows("SELECT identity, topic, payload, reason FROM dead ORDER BY id")
        return [
            (identity.decode(), topic.decode(), payload, reason.decode()) for identity, topic, payload, reason in rows
        ]

    def gaps(self) -> list[Dropped]:
        """What is gone and should be announced now. Cheap when there is nothing."""
        return self._gaps.to_announce(self._streams) if self._gaps.waiting else []

    @_even_when_full
    def announce(self, gap: Dropped, encode: Callable[[Spool], bytes]) -> Spool:
        """Append the announcement of a gap to the stream of its name, in the present epoch."""
        with self._database.transaction(durable=True):
            stream = self._stream(gap.name)
            spool = self._next(stream)
            self._ordinal += 1
            stream.stored += 1
            self._insert(
                stream, spool.seq, ANNOUNCEMENT, self._ordinal, time.time_ns(), gap.topic.encode(), encode(spool)
            )
            self._gaps.announced(gap, place(stream.number, spool.seq))
            self._database.write_streams([stream])
        self._raise_mark()
        return spool

    # Looking after it.

    def settle(self) -> None:
        """Notice that the disk became full, or has space again. To be called every few seconds."""
        self._room.settle()

    def figures(self) -> OutboxFigures:
        streams = self._streams.values()
        oldest_ns = [
            self._database.number(
                "SELECT coalesce(min(accepted_ns), 0) FROM (SELECT accepted_ns FROM document NOT INDEXED "
                "WHERE place > ? AND place <= ? ORDER BY place LIMIT 1)",
                place(stream.number, stream.acknowledged),
                place(stream.number, stream.last),
            )
            for stream in streams
            if stream.stored
        ]
        ages_s = [(time.time_ns() - ns) / 1e9 for ns in oldest_ns if ns]
        syncs = sorted(self._sync_ms)
        return OutboxFigures(
            epoch=self.epoch,
            accepted=sum(stream.accepted for stream in streams),
            stored=sum(stream.stored for stream in streams),
            sent=sum(stream.sent for stream in streams),
            dropped=sum(stream.dropped for stream in streams),
            dropped_by_reason=self._gaps.by_reason(),
            dead=sum(stream.dead for stream in streams),
            used_bytes=self._room.used_bytes,
            quota_bytes=self._shape.quota,
            oldest_age_s=max(0.0, *ages_s, 0.0),
            disk_full=self._room.disk_full,
            sync_p99_ms=syncs[int(len(syncs) * 0.99)] if syncs else 0.0,
            salvaged=self.salvaged,
            damage=self.damage,
        )


def _whole(stream: Stream, seq: int, priority: object, topic: object, payload: object, crc: object) -> bool:
    if not (isinstance(priority, int) and isinstance(topic, bytes) and isinstance(payload, bytes)):
        return False
    return crc == document_crc(stream, seq, priority, topic, payload)


def boot_id() -> str:
    """Changes with every start of the machine; empty where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
