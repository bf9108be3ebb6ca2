"""The books of an outbox: how far each of its streams has come, in memory and in the database alike."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.outbox import file as outbox_file
from appliance.outbox.database import Database
from appliance.outbox.file import OutboxDamaged, Shape
from appliance.outbox.rows import Document, Kept, Name, Stream, name_row, seq_of
from appliance.result import Spool


@dataclass(frozen=True, slots=True)
class Told:
    """The highest number of each stream of an epoch that was given to anybody."""

    epoch: str
    last: Mapping[str, int]


class Books:
    """Over an open database. What a transaction changes here is written with it, or undone with it."""

    def __init__(self, database: Database, epoch: str, streams: Iterable[Stream] = ()) -> None:
        """Raises OutboxDamaged when documents are missing that the books have."""
        self.epoch = epoch
        self.streams: dict[int, Stream] = {}
        self._database = database
        self._committed = {stream.number: stream for stream in streams}
        self._changed: list[Stream] = []
        self._by_name: dict[Name, Stream] = {}
        self._ordinal = database.number("SELECT coalesce(max(ordinal), 0) FROM document")
        self._closed: set[int] = set()
        self.undo()
        for stream in self.streams.values():
            if database.count(stream, stream.acknowledged, stream.last) != stream.stored:
                raise OutboxDamaged(f"{database.path}: documents of stream {stream.name} are missing")
            if stream.epoch != epoch and not database.first(stream):
                self._closed.add(stream.number)
        database.follower = self

    # Following the transactions.

    def write(self) -> None:
        """A transaction will be done: into the database with what has changed."""
        self._changed = [stream for stream in self.streams.values() if stream != self._committed.get(stream.number)]
        if self._changed:
            self._database.write_streams(self._changed)

    def keep(self) -> None:
        """It was done."""
        for stream in self._changed:
            self._committed[stream.number] = stream.copy()

    def undo(self) -> None:
        """It was not done."""
        self.streams = {number: stream.copy() for number, stream in self._committed.items()}
        self._by_name = {stream.full_name: stream for stream in self.streams.values()}

    # Looking things up.

    @property
    def accepted_in_epoch(self) -> int:
        """Numbers given in the present epoch."""
        return sum(stream.last for stream in self.streams.values() if stream.epoch == self.epoch)

    @property
    def told(self) -> Told:
        """What anybody can know of."""
        committed = self._committed.values()
        return Told(self.epoch, {stream.name: stream.last for stream in committed if stream.epoch == self.epoch})

    @property
    def open_streams(self) -> list[Stream]:
        """Older epochs first, without those that are done with."""
        still = [stream for stream in self.streams.values() if stream.number not in self._closed]
        return sorted(still, key=lambda stream: (stream.epoch == self.epoch, stream.number))

    def has(self, name: Name) -> bool:
        """Whether there is such a stream."""
        return name in self._by_name

    def read(self, stream: Stream, after: int, most: int, most_bytes: int) -> tuple[list[Kept], list[int]]:
        """The next documents of a stream, at least one if there is any, and the numbers of damaged ones among them."""
        kept: list[Kept] = []
        damaged: list[int] = []
        total_bytes = 0
        for row in self._database.documents(stream, after):
            document = Document.from_row(row, stream)
            if document is None:
                damaged.append(seq_of(row[0]))
                continue
            kept.append(Kept(stream.number, document.seq, document.topic.decode(), document.payload))
            total_bytes += len(document.payload)
            if len(kept) >= most or total_bytes >= most_bytes:
                break
        return kept, damaged

    # Changing them, inside a transaction.

    def of(self, name: str, epoch: str | None = None) -> Stream:
        """The stream of a name, in the present epoch unless another is given; begun when there is none."""
        full_name = (name, self.epoch if epoch is None else epoch)
        stream = self._by_name.get(full_name)
        if stream is None:
            stream = Stream(max(self.streams, default=0) + 1, *full_name)
            self.streams[stream.number] = self._by_name[full_name] = stream
            self._database.note(*name_row(stream))
        return stream

    def accept(self, stream: Stream) -> Spool:
        """The next identity in a stream."""
        stream.last += 1
        stream.accepted += 1
        return Spool(*stream.full_name, stream.last)

    def store(self, stream: Stream, seq: int, priority: int, topic: bytes, payload: bytes, now_ns: int) -> None:
        """Put an accepted document where it waits to be sent."""
        self._ordinal += 1
        self._database.insert(stream, Document(seq, priority, self._ordinal, now_ns, topic, payload))

    def acknowledge(self, stream: Stream, seq: int) -> None:
        """What waits up to `seq` is sent."""
        stream.sent += self._database.count(stream, stream.acknowledged, seq)
        stream.acknowledged = seq

    def rewind(self, stream: Stream, seq: int) -> None:
        """What was sent above `seq` and is still here waits again."""
        stream.sent -= self._database.count(stream, seq, stream.acknowledged)
        stream.acknowledged = seq

    def close(self, stream: Stream) -> None:
        """Nothing of this older epoch's stream is left, and nothing will come: it only counts."""
        self._closed.add(stream.number)


def begin(database: Database, shape: Shape) -> Books:
    """The books of a new file, in an epoch that never was before."""
    epoch = secrets.token_hex(6)
    with database.naming_errors():
        outbox_file.create(database.raw, shape, epoch, boot_id())
    return Books(database, epoch)


def boot_id() -> str:
    """Changes with every start of the machine; empty where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
