"""What a power cut leaves of files whose every write was recorded.

What was synced is there. Of what was written since, any part may be: each sector of 512 bytes for itself, in any
order, and the length of the file as well. A file that was made and never synced may be there or not, and one that was
deleted until its folder is synced.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from tests.sqlite_disk import Step

SECTOR_BYTES = 512


class Content:
    """Of a file: what is certain, and what is pending."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.pending: list[Step] = []

    def sync(self) -> None:
        for step in self.pending:
            _apply(self.synced, step, 0, len(step.data))
        self.pending.clear()

    def now(self) -> bytes:
        """As a program reads it."""
        content = bytearray(self.synced)
        for step in self.pending:
            _apply(content, step, 0, len(step.data))
        return bytes(content)

    def left(self, chance: random.Random) -> bytes:
        """One of the contents that a power cut now may leave."""
        content = bytearray(self.synced)
        kept = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for step in self.pending:
            if step.kind == "truncate":
                if chance.random() < kept:
                    _apply(content, step, 0, 0)
                continue
            for start in range(0, len(step.data), SECTOR_BYTES):
                if chance.random() < kept:
                    _apply(content, step, start, min(start + SECTOR_BYTES, len(step.data)))
        return bytes(content)


class _File:
    """A content, and whether it has a name."""

    def __init__(self, ghost: bytes | None = None) -> None:
        self.content = Content()
        self.was_synced = False
        self.deleted = False
        self.ghost = ghost
        """Content of the file that had the name before, and may have it again."""

    def sync(self) -> None:
        self.content.sync()
        self.was_synced = True
        self.ghost = None

    def left(self, chance: random.Random) -> bytes | None:
        """One of the contents that a power cut now may leave; None for no file."""
        if self.ghost is not None and chance.random() < 0.5:
            return self.ghost
        if (self.deleted or not self.was_synced) and chance.random() < 0.5:
            return None
        return self.content.left(chance)


def _apply(content: bytearray, step: Step, start: int, end: int) -> None:
    if step.kind == "truncate":
        del content[step.offset :]
        content.extend(bytes(step.offset - len(content)))
        return
    at = step.offset + start
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + end - start] = step.data[start:end]


class Files:
    """Follows the steps, and shows at any of them what may be left."""

    def __init__(self) -> None:
        self._files: dict[Path, _File] = {}

    def follow(self, steps: Iterable[Step]) -> None:
        for step in steps:
            file = self._files.get(step.path)
            if step.kind == "sync" and (file is None or not file.was_synced):
                self._sync_names()  # SQLite does so with the first sync of a log or journal, we with our mark
            if step.kind == "sync" and file is None:
                continue
            if step.kind == "delete":
                if file is not None:
                    file.deleted = True
                continue
            if file is None or file.deleted:
                ghost = bytes(file.content.synced) if file is not None and file.was_synced else None
                file = self._files[step.path] = _File(ghost)
            if step.kind == "sync":
                file.sync()
            elif step.kind in ("write", "truncate"):
                file.content.pending.append(step)

    def _sync_names(self) -> None:
        """A folder was synced: what was deleted stays deleted."""
        self._files = {path: file for path, file in self._files.items() if not file.deleted}

    def leave(self, folder: Path, chance: random.Random) -> None:
        """Write into a folder what a power cut now may leave."""
        for path, file in self._files.items():
            content = file.left(chance)
            if content is not None:
                (folder / path.name).write_bytes(content)
