"""Names of contents: `sha256:` and 64 hexadecimal digits."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def of_bytes(content: bytes) -> str:
    """The digest of these bytes."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def of_file(path: Path) -> str:
    """The digest of a file's content; links are followed. Raises OSError."""
    with path.open("rb") as file:
        return of_open_file(file.fileno())


def of_open_file(descriptor: int) -> str:
    """The digest of what the descriptor still has to read."""
    state = hashlib.sha256()
    while chunk := os.read(descriptor, _CHUNK_BYTES):
        state.update(chunk)
    return "sha256:" + state.hexdigest()


def is_plain_file(descriptor: int) -> bool:
    """A regular file with one name only: a second hard link may be a file that is not its owner's to give."""
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1
