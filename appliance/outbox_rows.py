"""The rows of an outbox: how a document's identity is its place, and the checksums that tell a damaged row."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

SEQ_BITS = 40
"""A primary key is a stream's number and a sequence number: rows of a stream lie together and in order, reading and
deleting a stretch is one range, and the database itself refuses to use an identity twice."""

LARGEST_SEQ = (1 << SEQ_BITS) - 1


def place(stream: int, seq: int) -> int:
    """Primary key of a document."""
    return stream << SEQ_BITS | seq


def seq_of(row: int) -> int:
    """Sequence number in its stream."""
    return row & LARGEST_SEQ


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
    stored: int = 0
    """Waiting: accepted, and neither sent, dropped nor dead. Counted when opened, not written down."""

    def row(self) -> tuple[int | bytes, ...]:
        """What the database keeps, checksum last."""
        fields = (self.last, self.acknowledged, self.accepted, self.sent, self.dropped, self.dead)
        text = f"{self.number} {self.epoch} {fields} {self.name}".encode()
        return (self.number, self.name.encode(), self.epoch.encode(), *fields, zlib.crc32(text))

    @classmethod
    def from_row(cls, row: tuple[object, ...]) -> Stream | None:
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


@dataclass(frozen=True, slots=True)
class Kept:
    """A stored document as it will go out, byte for byte."""

    stream: int
    seq: int
    topic: str
    payload: bytes


def document_crc(stream: Stream, seq: int, priority: int, topic: bytes, payload: bytes) -> int:
    """Covers the whole identity, so that a row that wandered to another place is damaged too."""
    head = b"%b %b %d %d %b" % (stream.name.encode(), stream.epoch.encode(), seq, priority, topic)
    return zlib.crc32(payload, zlib.crc32(head))


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
