"""Disk space held in reserve, so that a full disk leaves room to make room."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)


class Ballast:
    """A file without content. SQLite needs space in its log even to delete a row; on a full disk this is where from."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes

    @property
    def laid(self) -> bool:
        """Whether the space is held now."""
        return self._path.exists()

    def lay(self) -> bool:
        """Hold the space; False when the disk has not twice as much free, which would only move the trouble."""
        if self.laid:
            return True
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < 2 * self._size_bytes:
            return False
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
        except OSError as e:
            self.release()
            logger.warning("%s: no space can be held in reserve: %s", self._path, e.strerror)
            return False
        return True

    def release(self) -> None:
        """Give the space back to the disk."""
        with suppress(FileNotFoundError):
            self._path.unlink()
