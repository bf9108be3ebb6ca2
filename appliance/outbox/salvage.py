"""What can still be had from a damaged outbox: every row that proves to be whole by its checksum."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.outbox.rows import Document, Name, Stream, named_in, number_of
from appliance.outbox.sqlite_pages import Pages

SECONDS = 15.0
"""Longest search: a device that is up again soon matters more than the last old row. 256 MB take about 6 s."""

_STREAM_COLUMNS, _DOCUMENT_COLUMNS, _ABOUT_COLUMNS = 10, 7, 2


@dataclass(frozen=True, slots=True)
class Remains:
    """What is known of the streams in a damaged file."""

    streams: dict[Name, Stream]
    """The newest line of each that was found."""
    numbers: dict[int, list[Name]]
    """Whose documents may lie under a number."""


def remains(path: Path) -> Remains:
    """Look for the streams' lines. Raises nothing: what cannot be read is not there."""
    streams: dict[Name, Stream] = {}
    numbers: dict[int, list[Name]] = {}
    with Pages(path) as pages:
        for key, columns in pages.rows(lambda count: count in (_STREAM_COLUMNS, _ABOUT_COLUMNS)):
            is_line = len(columns) == _STREAM_COLUMNS
            stream = Stream.from_row((key, *columns[1:])) if is_line else named_in(columns)
            if stream is None:
                continue
            name = stream.full_name
            if name not in streams or _age(streams[name]) < _age(stream):
                streams[name] = stream
            known = numbers.setdefault(stream.number, [])
            if name not in known:
                known.append(name)
    return Remains(streams, numbers)


def _age(stream: Stream) -> tuple[int, int, int]:
    return stream.accepted, stream.sent + stream.dropped + stream.dead, stream.acknowledged


def salvage(path: Path, found: Remains) -> Iterator[tuple[Stream, Document]]:
    """Unsent documents of a damaged file in no order, as long as `SECONDS` allow. One may come twice.

    Each keeps its identity and its bytes, so that it can only ever repeat itself. Raises nothing.
    """
    deadline_s = time.monotonic() + SECONDS
    with Pages(path) as pages:
        for place, columns in pages.rows(lambda count: count == _DOCUMENT_COLUMNS):
            for name in found.numbers.get(number_of(place), ()):
                stream = found.streams[name]
                document = Document.from_row((place, *columns[1:]), stream)
                if document is not None and document.seq > stream.acknowledged:
                    yield stream, document
                    break
            if time.monotonic() > deadline_s:
                return
