"""What a process and its children hold: memory, handles, threads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True, slots=True)
class Held:
    """At one moment."""

    memory_mb: float
    """Resident, of all of them; what they share counts in each."""
    handles: int
    threads: int
    processes: int


def held(process: int) -> Held:
    """Of this process and all below it; raises ProcessLookupError when it is gone."""
    family = [process]
    for each in family:
        family += _children(each)
    counted = [counts for counts in map(_of, family) if counts is not None]
    if not counted or not Path(f"/proc/{process}").exists():
        raise ProcessLookupError(f"process {process} has ended")
    memory, handles, threads = (sum(column) for column in zip(*counted, strict=True))
    return Held(memory * _PAGE_MB, int(handles), int(threads), len(counted))


def _of(process: int) -> tuple[int, int, int] | None:
    """Pages, handles, threads; None for one that ended meanwhile."""
    place = Path(f"/proc/{process}")
    try:
        pages = int((place / "statm").read_text().split()[1])
        return pages, len(list((place / "fd").iterdir())), len(list((place / "task").iterdir()))
    except (FileNotFoundError, ProcessLookupError):
        return None


def _children(process: int) -> list[int]:
    found: list[int] = []
    try:
        for task in Path(f"/proc/{process}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found
