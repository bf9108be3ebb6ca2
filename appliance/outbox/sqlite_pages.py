"""Rows found in the pages of a SQLite file, whatever its trees say: https://www.sqlite.org/fileformat2.html

A tree that lost its root shows nothing, its leaves still hold the rows. Who reads them this way must be able to tell a
good row from a bad one: an old copy of a page, or a damaged one, looks like any other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import TypeAlias

PAGE_BYTES = 4096
_TABLE_LEAF, _INDEX_LEAF = 13, 10
_PAGES_AT_ONCE = 64
_ROWS_ASKED = 4
_LOG_HEADER_BYTES, _FRAME_HEADER_BYTES = 32, 24
_FRAME_HEADER = Struct(">IIQ")
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
"""Bytes of an integer by its serial type."""

Column: TypeAlias = "int | bytes | None"
Row: TypeAlias = "tuple[int, list[Column]]"
"""Its key, 0 in a table without one, and its columns; text as bytes."""


class Pages:
    """Every image of every page in a database and its write-ahead log. Opened with `with`; changes nothing.

    What cannot be read is passed over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log_path = path.with_name(path.name + "-wal")
        self._stack = ExitStack()
        self._file: int | None = None
        self._log: int | None = None
        self._newest: dict[int, int] = {}
        """Where in the log the newest image of a page lies."""

    def __enter__(self) -> Pages:
        self._file, self._log = self._open(self._path), self._open(self._log_path)
        salt = None
        for offset in self._frames():
            number, _, frame_salt = _FRAME_HEADER.unpack(_read(self._log, _FRAME_HEADER.size, offset))
            salt = frame_salt if salt is None else salt
            if frame_salt == salt:  # others are left over from before the log was begun anew
                self._newest[number] = offset
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _open(self, path: Path) -> int | None:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        self._stack.callback(os.close, handle)
        return handle

    def _frames(self) -> range:
        size = os.fstat(self._log).st_size if self._log is not None else 0
        step = _FRAME_HEADER_BYTES + PAGE_BYTES
        return range(_LOG_HEADER_BYTES, size - step + 1, step)

    def rows(self, wanted: Callable[[int], bool]) -> Iterator[Row]:
        """Every row that can be made out in tables with a number of columns that is `wanted`. Rows may come twice.

        A long row is tried with its newest and with its older parts, so it may come wrong and right.
        """
        for page in self._images():
            if not _may_hold(page, wanted):
                continue
            for cell in _cells(page):
                for newest in (True, False):
                    try:
                        row, is_long = self._row(page, cell, newest)
                    except (IndexError, ValueError):
                        break
                    if wanted(len(row[1])):
                        yield row
                    if not is_long:
                        break

    def _images(self) -> Iterator[bytes]:
        """The log's from its end, then the file's."""
        for offset in reversed(self._frames()):
            yield _read(self._log, PAGE_BYTES, offset + _FRAME_HEADER_BYTES)
        size = os.fstat(self._file).st_size if self._file is not None else 0
        for start in range(0, size, PAGE_BYTES * _PAGES_AT_ONCE):
            stretch = _read(self._file, PAGE_BYTES * _PAGES_AT_ONCE, start)
            for offset in range(0, len(stretch), PAGE_BYTES):
                yield stretch[offset : offset + PAGE_BYTES]

    def _page(self, number: int, newest: bool) -> bytes:
        offset = self._newest.get(number) if newest else None
        if offset is not None:
            return _read(self._log, PAGE_BYTES, offset + _FRAME_HEADER_BYTES)
        return _read(self._file, PAGE_BYTES, (number - 1) * PAGE_BYTES)

    def _row(self, page: bytes, cell: int, newest: bool) -> tuple[Row, bool]:
        size, at = _varint(page, cell)
        key = 0
        if page[0] == _TABLE_LEAF:
            key, at = _varint(page, at)
            most_here = PAGE_BYTES - 35
        else:
            most_here = (PAGE_BYTES - 12) * 64 // 255 - 23
        if size <= most_here:
            return (key, _record(page, at, at + size)), False
        least_here = (PAGE_BYTES - 12) * 32 // 255 - 23
        here = least_here + (size - least_here) % (PAGE_BYTES - 4)
        here = here if here <= most_here else least_here
        content, more = page[at : at + here], page[at + here : at + here + 4]
        if size > PAGE_BYTES * PAGE_BYTES:
            raise ValueError("a length that no row has")
        while len(content) < size:
            overflow = self._page(int.from_bytes(more, "big"), newest)
            more, part = overflow[:4], overflow[4 : 4 + size - len(content)]
            if not part:
                raise ValueError("the rest of the row is not there")
            content += part
        return (key, _record(content, 0, size)), True


def _read(handle: int | None, count: int, offset: int) -> bytes:
    """Whole pages, zeros for what cannot be read."""
    if handle is None or offset < 0:
        return b""
    try:
        content = os.pread(handle, count, offset)
    except OSError:
        if count <= PAGE_BYTES:
            return bytes(count)
        return b"".join(_read(handle, PAGE_BYTES, offset + start) for start in range(0, count, PAGE_BYTES))
    return content if count < PAGE_BYTES else content + bytes(-len(content) % PAGE_BYTES)


def _cells(page: bytes) -> list[int]:
    """Where its rows begin."""
    end = min(8 + 2 * int.from_bytes(page[3:5], "big"), PAGE_BYTES)
    return [int.from_bytes(page[at : at + 2], "big") for at in range(8, end, 2)]


def _may_hold(page: bytes, wanted: Callable[[int], bool]) -> bool:
    """Whether one of the first rows has the columns that are wanted: a page holds rows of one table."""
    if page[0] not in (_TABLE_LEAF, _INDEX_LEAF):
        return False
    for cell in _cells(page)[:_ROWS_ASKED]:
        with suppress(IndexError, ValueError):
            _, at = _varint(page, cell)
            if page[0] == _TABLE_LEAF:
                _, at = _varint(page, at)
            if wanted(len(_types(page, at)[0])):
                return True
    return False


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for at in range(at, at + 8):  # noqa: B020
        byte = content[at]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + 1
    return value << 8 | content[at + 1], at + 2


def _types(content: bytes, at: int) -> tuple[list[int], int]:
    """Serial types of a record's columns, and where their values begin."""
    length, next_at = _varint(content, at)
    end = at + length
    if length > PAGE_BYTES:
        raise ValueError("a head that no record has")
    types = []
    while next_at < end:
        kind, next_at = _varint(content, next_at)
        types.append(kind)
    return types, end


def _record(content: bytes, at: int, end: int) -> list[Column]:
    types, at = _types(content, at)
    values: list[Column] = []
    for kind in types:
        if kind >= 12:
            length = (kind - 12) // 2
            values.append(content[at : at + length])
            at += length
        elif kind in _INTEGERS:
            length = _INTEGERS[kind]
            values.append(int.from_bytes(content[at : at + length], "big", signed=True))
            at += length
        elif kind in (0, 8, 9):
            values.append(None if kind == 0 else kind - 8)
        else:
            raise ValueError("a kind of value that is not ours")
    if at != end or end > len(content):
        raise ValueError("values that do not fill the record")
    return values
