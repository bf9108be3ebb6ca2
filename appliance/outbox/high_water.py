"""How far an outbox had got, remembered outside of it.

A database whose log lost its end is a valid database of an earlier moment: it would give the same sequence numbers to
other documents. No check of the file itself can find that; comparing it with this mark does.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from engines import durable

_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Mark:
    """At least `accepted` documents were accepted in `epoch`."""

    epoch: str
    accepted: int

    def to_bytes(self) -> bytes:
        text = f"{self.epoch} {self.accepted}"
        return f"{text} {zlib.crc32(text.encode()):08x}".ljust(_LENGTH - 1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Mark | None:
        """None for anything that is not exactly what `to_bytes` makes."""
        try:
            epoch, accepted, _ = content.decode("ascii").split()
            mark = cls(epoch, int(accepted))
        except ValueError:
            return None
        return mark if mark.to_bytes() == content else None


class HighWater:
    """The file that holds the mark.

    Written after every commit without a sync: it may lag behind the database after a power cut, which is harmless, but
    never be ahead of it. The file is overwritten in place, which a full disk allows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def read(self) -> Mark | None:
        """None when there is none, or it is damaged."""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            return Mark.from_bytes(os.read(handle, _LENGTH + 1))
        except OSError:
            return None
        finally:
            os.close(handle)

    def begin(self, mark: Mark) -> None:
        """Open for writing and make sure that the mark, and the file itself, outlive a power cut. Raises OSError."""
        self.close()
        if os.path.lexists(self._path) and not self._path.is_file():
            self._path.rename(self._path.with_name(self._path.name + ".moved"))
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, _LENGTH)
        os.pwrite(self._file, mark.to_bytes(), 0)
        os.fsync(self._file)
        durable.sync(self._path.parent)

    def write(self, mark: Mark) -> None:
        """Raise the mark. Raises OSError."""
        assert self._file is not None
        os.pwrite(self._file, mark.to_bytes(), 0)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
