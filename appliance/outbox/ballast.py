"""Disk space held in reserve, so that a full disk leaves room to make room."""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


class Ballast:
    """A file without content. SQLite needs space in its log even to delete a row; on a full disk this is where from.

    Raises nothing: a disk that refuses leaves us without a reserve, and says why when something is written.
    """

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes
        self._told: set[str] = set()

    @property
    def disk_is_full(self) -> bool:
        """Whether less is free than the reserve holds: then it was the disk that refused, and not a quota."""
        return self._free_bytes() < self._size_bytes

    def lay(self) -> bool:
        """Hold the whole reserve; False when the disk has not twice as much free, which would only move the trouble."""
        held_bytes = self._held_bytes()
        if held_bytes >= self._size_bytes:
            return True
        return self._free_bytes() >= 2 * self._size_bytes - held_bytes and self._allocate(self._size_bytes)

    def lay_what_fits(self) -> None:
        """Hold at least what is free now, up to the whole reserve: the log has just given its space back."""
        held_bytes = self._held_bytes()
        fits = min(self._size_bytes, held_bytes + self._free_bytes())
        if fits > held_bytes:
            self._allocate(fits)

    def release(self) -> None:
        """Give the space back to the disk."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as e:
            self._warn(f"the reserve cannot be given back: {e.strerror}")

    def _held_bytes(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def _free_bytes(self) -> int:
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return 0
        return disk.f_bavail * disk.f_frsize

    def _allocate(self, size_bytes: int) -> bool:
        try:
            with self._path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, size_bytes)
        except OSError as e:
            self._warn(f"no space can be held in reserve: {e.strerror}")
            self.release()
            return False
        self._told.clear()
        return True

    def _warn(self, trouble: str) -> None:
        if trouble not in self._told:
            logger.warning("%s: %s", self._path, trouble)
        self._told.add(trouble)
