"""One sample of a recording with all that was said of it, and the line of JSON that it is on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from appliance.recorder.tape import Said
from appliance.result import Event, Result

LINE_BYTES = 1500
"""About what an entry without its sample takes in memory."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A stretch of sound, in samples since its source was opened."""

    start: int
    length: int
    rate_hz: int


@dataclass(frozen=True, slots=True)
class Entry:
    """Of a picture or a window of sound."""

    seq: int
    mono_ns: int
    unix_ns: int
    ready_ns: int
    result: Result
    events: tuple[Event, ...] = ()
    threshold: float | None = None
    """That commands had set."""
    memory: dict[str, Any] | None = None
    """What the pipeline remembered before this sample, now and then: a replay can begin there."""
    heard: Heard | None = None
    """Which stretch of sound it is; None: it is a picture."""
    place: int | None = None
    """Number of its picture in the clip, or of its first sample of sound. None: it was not kept."""
    data: bytes = b""
    """The picture, compressed, or what is new of the sound as float32; stands beside the line, never in it."""

    @classmethod
    def of(cls, said: Said, data: bytes, heard: Heard | None = None) -> Entry:
        return cls(
            said.seq,
            said.stamp.mono_ns,
            said.stamp.unix_ns,
            said.ready_ns,
            said.result,
            said.events,
            said.threshold,
            said.memory,
            heard=heard,
            data=data,
        )

    @property
    def at_s(self) -> float:
        return self.mono_ns / 1e9

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return LINE_BYTES + len(self.data)


_adapter: TypeAdapter[Entry] | None = None


def _of_entries() -> TypeAdapter[Entry]:
    """Made when it is first needed: it takes some milliseconds."""
    global _adapter
    if _adapter is None:
        _adapter = TypeAdapter(Entry)
    return _adapter


def to_line(entry: Entry) -> bytes:
    """JSON without a line break; numbers to their last digit."""
    return _of_entries().dump_json(entry, exclude_none=True, exclude={"data"})


def from_line(line: bytes) -> Entry:
    """Raises pydantic's ValidationError."""
    return _of_entries().validate_json(line)
