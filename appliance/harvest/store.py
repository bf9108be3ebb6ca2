"""The kept samples of one pipeline in their folder: plain files, whole or not there, never more than their bounds.

A sample is a picture or a sound and a document beside it; it is there once its document is, which is written last.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from appliance.harvest import books as books_file
from appliance.harvest.books import Books
from appliance.harvest.sample import MOST_BYTES, Harvested, from_json, to_json
from appliance.recorder.clip import NAME, name_of
from engines import durable

FOLDER = "harvest"
"""Below the state folder; in it a folder for each pipeline."""
BOOKS = "books.json"
DAY_S = 86_400.0
DOCUMENT_BYTES = 16_384
"""What a document is reckoned as before it is written."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be kept."""

    per_day: int
    bytes_per_day: int
    most_bytes: int
    keep_s: float
    leave_free: int


class NoRoom(Exception):
    """It may not be kept, for now; the message says why, as the end of a sentence."""


class Store:
    """Of one thread; commands look at the same folder with `kept`. Every method may raise OSError."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self.folder = folder
        self.books = Books.begin()
        self.bounds = bounds
        self._sizes: dict[str, int] = {}
        """Bytes of every sample, oldest first."""
        self._undated: dict[str, float] = {}
        """When (monotonic) samples were kept whose files bear the time of a wall clock that was not set yet."""

    def prepare(self) -> None:
        """Make the folder, and take away what a kill or a power cut left unfinished. Before anything else."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in list(self.folder.iterdir()):
            name = path.name.partition(".")[0]
            unfinished = NAME.fullmatch(name) and not (self.folder / f"{name}.json").exists()
            if unfinished or path.name.startswith(".new-"):
                path.unlink(missing_ok=True)
        self.look()
        path = self.folder / BOOKS
        read = books_file.from_json(path.read_bytes()) if path.exists() else None
        highest = max((int(name.partition("-")[0]) for name in self._sizes), default=0)
        self.books = Books.begin(highest) if read is None else replace(read, number=max(read.number, highest))

    def look(self) -> None:
        """See what is there: a person may have taken some of it."""
        sizes: dict[str, int] = {}
        for path in sorted(self.folder.iterdir()):
            name = path.name.partition(".")[0]
            if NAME.fullmatch(name):
                try:
                    sizes[name] = sizes.get(name, 0) + path.stat().st_size
                except FileNotFoundError:
                    continue
        self._sizes = sizes

    @property
    def free(self) -> int:
        """Bytes of the disk that may be taken; below 0, others have taken of what is left to them."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize - self.bounds.leave_free

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def size(self) -> int:
        """On disk."""
        return sum(self._sizes.values())

    @property
    def oldest(self) -> str | None:
        return next(iter(self._sizes), None)

    def begin(self, size: int, unix_s: float) -> tuple[str, str]:
        """Series and name of a new sample whose picture or sound has so many bytes; it counts from now on.

        Raises NoRoom. The oldest are deleted where the bound on disk asks for it.
        """
        needed = size + DOCUMENT_BYTES
        samples, left = self.books.left(unix_s, self.bounds.per_day, self.bounds.bytes_per_day)
        if not samples or size > left:
            raise NoRoom("the day's budget is spent")
        if needed > self.bounds.most_bytes:
            raise NoRoom(f"a sample of {size} bytes is more than max_mb allows")
        while self._sizes and self.size + needed > self.bounds.most_bytes:
            self.remove(next(iter(self._sizes)))
        if self.free < needed:
            raise OSError(errno.ENOSPC, "the disk is full", str(self.folder))
        books = self.books.spent(size, unix_s)
        durable.replace(self.folder / BOOKS, books_file.to_json(books))
        self.books = books
        return books.series, name_of(books.number, int(unix_s * 1e9))

    def add(self, about: Harvested, data: bytes) -> None:
        """Write it; whole when this returns, and gone when it raises."""
        document = to_json(about)
        try:
            durable.write(self.folder / f"{about.name}.{about.kind}", data)
            durable.replace(self.folder / f"{about.name}.json", document)
        except OSError:
            self.remove(about.name)
            raise
        self._sizes[about.name] = len(data) + len(document)
        if about.clock != "synced":
            self._undated[about.name] = time.monotonic()

    def read(self, name: str) -> tuple[Harvested, bytes] | None:
        """A sample; None, and away with it, when somebody took or damaged it."""
        found = read(self.folder, name)
        if found is None:
            self.remove(name)
        return found

    def remove(self, name: str) -> None:
        """The document first: what is left without one is taken away at the next start."""
        for ending in ("json", "jpg", "wav"):
            (self.folder / f"{name}.{ending}").unlink(missing_ok=True)
        self._sizes.pop(name, None)
        self._undated.pop(name, None)

    def expire(self, now_s: float | None = None) -> int:
        """Delete what is older than it may get; only to be called while the clock is right. How many."""
        now_s = time.time() if now_s is None else now_s
        self._date(now_s)
        limit_s = now_s - self.bounds.keep_s
        old = [name for name in self._sizes if self._made_s(name) < limit_s]
        for name in old:
            self.remove(name)
        return len(old)

    def _date(self, now_s: float) -> None:
        """The clock is right now: samples of a time when it was not are as old as they are, not as their files say."""
        for name, made_s in self._undated.items():
            right_s = now_s - (time.monotonic() - made_s)
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.folder / f"{name}.json", (right_s, right_s))
        self._undated.clear()

    def _made_s(self, name: str) -> float:
        try:
            return (self.folder / f"{name}.json").stat().st_mtime
        except FileNotFoundError:
            return 0.0


def read(folder: Path, name: str) -> tuple[Harvested, bytes] | None:
    """The sample of this name; None when it is not there, or no sample. Raises OSError when it cannot be read."""
    try:
        with (folder / f"{name}.json").open("rb") as file:
            about = from_json(file.read(MOST_BYTES))
        return about, (folder / f"{name}.{about.kind}").read_bytes()
    except (FileNotFoundError, ValidationError):
        return None


def kept(folder: Path) -> Iterator[str]:
    """Names of the samples in this folder, oldest first; none where there is no folder. Raises OSError."""
    if folder.is_dir():
        yield from sorted(path.stem for path in folder.glob("*.json") if NAME.fullmatch(path.stem))
