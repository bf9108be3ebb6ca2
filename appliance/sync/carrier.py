"""What brings bytes from a registry to the device: a range of a file at a time. Nothing it brings is believed here."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol


class CarrierError(Exception):
    """Nothing came this time; the message says why. It may be tried again."""


class NoSuchFile(CarrierError):
    """The registry has no such file; trying again is of no use."""


class Stopped(Exception):
    """The appliance is stopping; what was fetched so far stays."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file, from an offset on."""

    content: bytes
    total: int
    """Bytes of the whole file, as the other side says."""


class Carrier(Protocol):
    """Opened with `with`, and used, on one thread."""

    def read(self, path: str, offset: int, most: int) -> Piece:
        """From `offset` on, at most `most` bytes and at least one, unless the file ends there.

        Raises CarrierError, Stopped.
        """

    def __enter__(self) -> Carrier: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
