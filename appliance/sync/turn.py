"""One at a time changes models on a device: the daemon, or a person's command."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engines.durable import make_folder


class Turn:
    """A lock between processes; it is let go when its process ends, however that came."""

    def __init__(self, folder: Path, name: str = "turn") -> None:
        self._path = folder / f"{name}.lock"

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """Whether it is ours, until the block ends. Raises OSError."""
        make_folder(self._path.parent)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(descriptor)
