"""A clip while it is being made: samples and lines appended to one file, whole up to any moment at which the process or
the power ends.

A record is two lengths and a checksum (four bytes each, big endian), a line of JSON and the data that belongs to it.
The first record is the head: a line alone.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from pydantic import ValidationError

from appliance.recorder.entry import Entry, from_line, to_line

_RECORD = struct.Struct(">III")
LONGEST = 64 << 20
"""Bytes of a line or of data; a longer one is damage."""


class JournalError(Exception):
    """It holds nothing that can be used."""


class Journal:
    """Appends. Every method may raise OSError, and then nothing more can be added."""

    def __init__(self, path: Path, head: bytes) -> None:
        self.path = path
        self.bytes = 0
        self._file: BinaryIO = path.open("xb", buffering=0)
        self._append(head, b"")

    def add(self, entry: Entry) -> None:
        self._append(to_line(entry), entry.data)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, line: bytes, data: bytes) -> None:
        record = b"".join((_RECORD.pack(len(line), len(data), zlib.crc32(data, zlib.crc32(line))), line, data))
        written = self._file.write(record)
        if written != len(record):  # the disk took a part: what follows could not be told from it
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
        self.bytes += len(record)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a journal holds."""

    head: bytes
    entries: list[Entry]
    """Without their data."""
    places: list[tuple[int, int]]
    """Of their data in the file: offset and length."""


def read(path: Path) -> Reading:
    """Everything up to the first damage; raises JournalError when not even the head is whole, OSError."""
    with path.open("rb") as file:
        records = _records(file)
        first = next(records, None)
        if first is None:
            raise JournalError(f"{path}: nothing in it is whole")
        entries: list[Entry] = []
        places: list[tuple[int, int]] = []
        for line, offset, length in records:
            try:
                entries.append(from_line(line))
            except ValidationError:  # of another version: what follows would be, too
                break
            places.append((offset, length))
    return Reading(first[0], entries, places)


def data_of(path: Path, reading: Reading) -> Iterator[Entry]:
    """The entries with their data, one at a time."""
    with path.open("rb") as file:
        for entry, (offset, length) in zip(reading.entries, reading.places, strict=True):
            file.seek(offset)
            yield replace(entry, data=file.read(length))


def _records(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Line, offset and length of the data."""
    while len(lengths := file.read(_RECORD.size)) == _RECORD.size:
        of_line, of_data, checksum = _RECORD.unpack(lengths)
        if of_line > LONGEST or of_data > LONGEST:
            return
        line = file.read(of_line)
        offset = file.tell()
        data = file.read(of_data)
        if len(line) != of_line or len(data) != of_data or zlib.crc32(data, zlib.crc32(line)) != checksum:
            return
        yield line, offset, of_data
