"""The rows of an outbox: how a document's identity is its place, and the checksums that tell a damaged row."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

SEQ_BITS = 40
"""A primary key is a stream's number and a sequence number: rows of a stream lie together and in order, reading and
deleting a stretch is one range, and the database itself refuses to use an identity twice."""

LARGEST_SEQ = (1 << SEQ_BITS) - 1

Name: TypeAlias = "tuple[str, str]"
"""What tells a stream from every other, ever: its name and its epoch."""


def place(stream: int, seq: int) -> int:
    """Primary key of a document."""
    return stream << SEQ_BITS | seq


def seq_of(place: int) -> int:
    """Sequence number in its stream."""
    return place & LARGEST_SEQ


def number_of(place: int) -> int:
    """Number of its stream."""
    return place >> SEQ_BITS


@dataclass(slots=True)
class Stream:
    """One stream's line in the books. Rows that are `acknowledged` may still lie in the outbox for a while."""

    number: int
    name: str
    epoch: str
    last: int = 0
    """Highest sequence number ever given."""
    acknowledged: int = 0
    """The receiver has everything up to here, but for what was dropped."""
    accepted: int = 0
    sent: int = 0
    dropped: int = 0
    dead: int = 0
    """Put among the dead letters."""

    @property
    def stored(self) -> int:
        """Waiting to be sent."""
        return self.accepted - self.sent - self.dropped - self.dead

    def copy(self) -> Stream:
        return Stream(
            self.number, self.name, self.epoch,
            self.last, self.acknowledged, self.accepted, self.sent, self.dropped, self.dead,
        )  # fmt: skip

    @property
    def full_name(self) -> Name:
        return self.name, self.epoch

    def row(self) -> tuple[int | bytes, ...]:
        """What the database keeps, checksum last."""
        fields = (self.last, self.acknowledged, self.accepted, self.sent, self.dropped, self.dead)
        text = f"{self.number} {self.epoch} {fields} {self.name}".encode()
        return (self.number, self.name.encode(), self.epoch.encode(), *fields, zlib.crc32(text))

    @classmethod
    def from_row(cls, row: Sequence[object]) -> Stream | None:
        """None for a row that is not exactly what `row` made."""
        number, name, epoch, *counts, _ = row
        if not (isinstance(number, int) and isinstance(name, bytes) and isinstance(epoch, bytes)):
            return None
        try:
            stream = cls(number, name.decode(), epoch.decode())
        except UnicodeDecodeError:
            return None
        values = [count for count in counts if isinstance(count, int)]
        if len(values) != len(counts):
            return None
        stream.last, stream.acknowledged, stream.accepted, stream.sent, stream.dropped, stream.dead = values
        return stream if stream.row() == row else None


def name_row(stream: Stream) -> tuple[str, str]:
    """Key and value that keep a stream's name in a second place: without it no document of the stream can be proven."""
    return f"stream {stream.number}", f"{stream.epoch} {stream.name}"


def named_in(row: Sequence[object]) -> Stream | None:
    """The stream, with empty books, whose name is kept in this row; None in any other row."""
    key, value = row
    if not (isinstance(key, bytes) and isinstance(value, bytes)):
        return None
    try:
        kind, number = key.decode().split(" ", 1)
        epoch, name = value.decode().split(" ", 1)
        return Stream(int(number), name, epoch) if kind == "stream" else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored document as it will go out, byte for byte."""

    stream: int
    seq: int
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """A row of the outbox."""

    seq: int
    priority: int
    ordinal: int
    """Age rank among all documents."""
    accepted_ns: int
    topic: bytes
    payload: bytes

    def crc_in(self, stream: Stream) -> int:
        """Covers the whole identity, so that a row that wandered to another place is damaged too."""
        head = b"%b %b %d %d %b" % (stream.name.encode(), stream.epoch.encode(), self.seq, self.priority, self.topic)
        return zlib.crc32(self.payload, zlib.crc32(head))

    def row(self, stream: Stream) -> tuple[int | bytes, ...]:
        """What the database keeps, checksum last."""
        at = place(stream.number, self.seq)
        return (at, self.priority, self.ordinal, self.accepted_ns, self.topic, self.payload, self.crc_in(stream))

    @classmethod
    def from_row(cls, row: Sequence[object], stream: Stream) -> Document | None:
        """None for a row that is not exactly what `row` made of a document of this stream."""
        at, priority, ordinal, accepted_ns, topic, payload, crc = row
        if not (isinstance(at, int) and isinstance(priority, int) and isinstance(ordinal, int)):
            return None
        if not (isinstance(accepted_ns, int) and isinstance(topic, bytes) and isinstance(payload, bytes)):
            return None
        document = cls(seq_of(at), priority, ordinal, accepted_ns, topic, payload)
        return document if document.crc_in(stream) == crc else None


SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE stream (
    number INTEGER PRIMARY KEY, name TEXT, epoch TEXT,
    last INTEGER, acknowledged INTEGER, accepted INTEGER, sent INTEGER, dropped INTEGER, dead INTEGER, crc INTEGER
);
CREATE TABLE document (
    place INTEGER PRIMARY KEY, priority INTEGER, ordinal INTEGER, accepted_ns INTEGER,
    topic BLOB, payload BLOB, crc INTEGER
);
CREATE INDEX document_by_priority ON document (priority, ordinal);
CREATE TABLE gap (
    stream INTEGER, reason TEXT, announced INTEGER, first INTEGER, last INTEGER, count INTEGER, topic BLOB,
    PRIMARY KEY (stream, reason, announced)
) WITHOUT ROWID;
CREATE TABLE dropped (reason TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID;
CREATE TABLE dead (
    id INTEGER PRIMARY KEY, identity TEXT, buried_ns INTEGER, topic BLOB, payload BLOB, reason TEXT
);
"""
FORMAT = "1"
