"""The files that an open outbox uses, and whether they are still the ones that have its names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Files:
    """Somebody may delete, move or replace them: what is written to an open file then, no restart will find."""

    identities: Mapping[Path, tuple[int, int]]
    """Device and inode of each."""

    @classmethod
    def of(cls, paths: Iterable[Path]) -> Files:
        """Those of the paths that are there."""
        return cls({path: found for path in paths if (found := _identity(path)) is not None})

    def gone(self) -> list[Path]:
        """Paths that lead nowhere now, or to another file."""
        return [path for path, identity in self.identities.items() if _identity(path) != identity]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
