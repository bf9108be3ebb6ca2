"""A file that grows chunk by chunk. What it holds is found out by digests: there is no record that could be wrong."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from appliance.sync.published import CHUNK_BYTES
from appliance.sync.trust import SignedFile


class Part:
    """Opened with `with`. Its name is the digest of what it is to become, so that any number may lie in one folder."""

    def __init__(self, folder: Path, file: SignedFile) -> None:
        self.path = folder / f"{file.sha256}.part"
        self._file = file
        self._descriptor = -1
        self._here: set[int] = set()

    def __enter__(self) -> Part:
        """Every chunk that is here already is checked. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        self._descriptor = os.open(self.path, flags, 0o600)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            self._close()
            raise OSError(f"{self.path}: not a plain file of its own: remove it")
        present = min(status.st_size, self._file.length)
        os.ftruncate(self._descriptor, self._file.length)
        for index, digest in enumerate(self._file.custom.chunks):
            if index * CHUNK_BYTES >= present:
                break
            if hashlib.sha256(os.pread(self._descriptor, self.size(index), index * CHUNK_BYTES)).hexdigest() == digest:
                self._here.add(index)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    def size(self, index: int) -> int:
        """Bytes of a chunk; only the last is shorter."""
        return min(CHUNK_BYTES, self._file.length - index * CHUNK_BYTES)

    @property
    def done_bytes(self) -> int:
        return sum(self.size(index) for index in self._here)

    def missing(self) -> Iterator[tuple[int, str]]:
        """Place and digest of every chunk that is not here, in order."""
        for index, digest in enumerate(self._file.custom.chunks):
            if index not in self._here:
                yield index, digest

    def put(self, index: int, content: bytes) -> bool:
        """Keep a chunk if it is the one that was signed for this place. Raises OSError."""
        if hashlib.sha256(content).hexdigest() != self._file.custom.chunks[index]:
            return False
        os.pwrite(self._descriptor, content, index * CHUNK_BYTES)
        self._here.add(index)
        return True

    def finish(self) -> bool:
        """All of it is on the disk, and it is what was signed; otherwise it is removed, and begins anew."""
        os.fsync(self._descriptor)
        state = hashlib.sha256()
        for offset in range(0, self._file.length, CHUNK_BYTES):
            state.update(os.pread(self._descriptor, CHUNK_BYTES, offset))
        if state.hexdigest() == self._file.sha256:
            return True
        self._here.clear()
        self.path.unlink(missing_ok=True)
        return False
