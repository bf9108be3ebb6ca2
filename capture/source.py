"""The face every camera, microphone and recording shows to its reader."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol

from capture.samples import Sample


class CaptureError(Exception):
    """The device or stream cannot deliver: missing, lost, refused, unreadable.

    The message names the device and the next step. Whoever reads the source closes it and opens it again later.
    """


class Source(Protocol):
    """Opened with `with` on the thread that reads it, then iterated.

    `__enter__` raises CaptureError when the device cannot be opened. Iteration yields samples as they arrive,
    ends when a finite source (a file without `loop`) is exhausted, and raises CaptureError when the device is lost.
    After CaptureError the same source may be opened again.
    """

    name: str
    """Name in the configuration; every sample carries it."""

    live: bool
    """True when samples arrive at the pace of the world, false for a recording read as fast as possible."""

    @property
    def description(self) -> str:
        """What was negotiated, in words: `1280x720 MJPG 30/s (asked 1920x1080)`. Empty until opened."""

    def __enter__(self) -> Source: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __iter__(self) -> Iterator[Sample]: ...

    def close(self) -> None:
        """Ask the reader to stop, for good; from any thread, any number of times.

        Wakes a source that waits for its next moment; one inside a driver ends when that read returns. Iteration then
        ends without an error. The device itself is let go by `__exit__`, on the thread that reads.
        """
