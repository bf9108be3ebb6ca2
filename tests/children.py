"""Processes that the code under test has started."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def children(of: int | None = None) -> list[int]:
    """Process ids of the living children of a process (this one), without those that other tests' pools keep."""
    of = os.getpid() if of is None else of
    tasks = Path(f"/proc/{of}/task").iterdir()
    found = [int(pid) for task in tasks for pid in _of_thread(task)]
    return [pid for pid in found if alive(pid) and b"multiprocessing" not in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def alive(pid: int) -> bool:
    """Whether it runs: one that has ended but was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def open_files() -> int:
    """Handles that this process holds."""
    return len(list(Path("/proc/self/fd").iterdir()))


def handles() -> set[tuple[int, str]]:
    """The handles that this process holds, each with what it leads to."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the handle by which this folder is read
            found.add((int(entry.name), str(entry.readlink())))
    return found


def resident_kb(pid: int | None = None) -> int:
    """Memory of a process (this one)."""
    status = Path(f"/proc/{pid or 'self'}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def _of_thread(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):  # the thread has ended since the list was made
        return []
