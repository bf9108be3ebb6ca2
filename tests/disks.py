"""Small disks of a test's own, and somebody else who fills them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, size_bytes: int = 4 << 20, *, files: int = 0) -> Iterator[Path]:
    """A disk at `folder`, in memory, for so many `files` (0: any number); skips where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder.mkdir()
    options = f"size={size_bytes}" + (f",nr_inodes={files + 1}" if files else "")  # the root folder is one too
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False).returncode != 0:
        pytest.skip("no tmpfs can be mounted here (a container without the right to?)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Somebody else takes all the space that is left."""
    path = folder / "somebody-elses.log"
    with suppress(OSError), path.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)
    assert os.statvfs(folder).f_bavail == 0
    return path
