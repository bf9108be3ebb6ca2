"""The clips of one pipeline in their folder: found, counted, deleted oldest first, never more than their budget."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from pydantic import ValidationError

from appliance.recorder.clip import ABOUT, ENDINGS, FRAMES, NAME, PART, Clip, name_of, read_clip

DAY_S = 86_400.0
FOLDER = "recordings"
"""Below the state folder; in it a folder for each pipeline."""


class Shelf:
    """Of one thread; the page reads the same folder with `clips` and `find`. Every method may raise OSError."""

    def __init__(self, folder: Path, max_bytes: int, keep_s: float, leave_free: int) -> None:
        self.folder = folder
        self.busy: set[str] = set()
        """Names of clips that are being worked on, and not to be deleted."""
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._leave_free = leave_free
        self._last_number = 0
        self._whole: dict[str, int] = {}
        """Bytes of every clip that is whole, oldest first."""
        self._unfinished: set[str] = set()
        self._undated: dict[str, float] = {}
        """When (monotonic) clips were made whose files bear the time of a wall clock that was not set yet."""

    # -- looking --------------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Make the folder, and take away what a kill or a power cut left and nobody can use. Before anything else."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, endings in self._files().items():
            self._last_number = max(self._last_number, int(name.split("-")[0]))
            if ABOUT in endings:
                self._unlink(name, {each for each in endings if each == PART or "." in each})
            elif PART in endings or FRAMES in endings:
                if PART not in endings:  # it was about to be whole: go back one step
                    self.path(name, FRAMES).rename(self.path(name, PART))
                self._unlink(name, endings - {PART, FRAMES})
            else:
                self._unlink(name, endings)
        self.look()

    def look(self) -> None:
        """See what is there, whoever has put it there or taken it away."""
        files = self._files()
        self._unfinished = {name for name, endings in files.items() if ABOUT not in endings}
        self._whole = {name: self._size(name, files[name]) for name in files if name not in self._unfinished}

    def bytes(self) -> int:
        """On disk, now."""
        return sum(self._whole.values()) + sum(self._size(name, set(ENDINGS)) for name in self._unfinished)

    def free(self) -> int:
        """Bytes of the disk that recording may take."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize - self._leave_free

    def path(self, name: str, ending: str) -> Path:
        return self.folder / f"{name}.{ending}"

    def waiting(self) -> list[Path]:
        """Clips in the making that nobody works on, oldest first."""
        return [self.path(name, PART) for name in sorted(self._unfinished - self.busy)]

    # -- making clips ---------------------------------------------------------------------------------------------

    def begin(self, unix_ns: int) -> str:
        """The name of a new clip, which is busy from now on."""
        self._last_number += 1
        name = name_of(self._last_number, unix_ns)
        self._unfinished.add(name)
        self.busy.add(name)
        return name

    def settle(self, name: str, *, dated: bool = True) -> None:
        """This clip is whole, or gone. `dated`: the wall clock was right when it was begun."""
        self.busy.discard(name)
        self._unfinished.discard(name)
        size = self._size(name, set(ENDINGS))
        if size:
            self._whole[name] = size
            if not dated:
                self._undated[name] = time.monotonic()
            self._whole = dict(sorted(self._whole.items()))

    @property
    def most_of_one(self) -> int:
        """Bytes of a clip in the making: it and what is made of it have to find room together."""
        return self._max_bytes // 2

    def make_room(self, needed: int) -> bool:
        """Delete the oldest until so many bytes more fit the budget; whether they do, and the disk has them."""
        while self.bytes() + needed > self._max_bytes:
            oldest = min((self._whole.keys() | self._unfinished) - self.busy, default=None)
            if oldest is None:
                return False
            self.remove(oldest)
        return self.free() >= needed

    def expire(self, now_s: float | None = None) -> int:
        """Delete what is older than it may get; only to be called while the clock is right. How many."""
        now_s = time.time() if now_s is None else now_s
        self._date(now_s)
        limit_s = now_s - self._keep_s
        old = [name for name in self._whole if self._made_s(name) < limit_s]
        for name in old:
            self.remove(name)
        return len(old)

    def remove(self, name: str) -> None:
        """All of a clip, the document first: without it, what is left is taken away at the next start."""
        self._unlink(name, set(ENDINGS))
        self._whole.pop(name, None)
        self._undated.pop(name, None)
        self._unfinished.discard(name)

    def _date(self, now_s: float) -> None:
        """The clock is right now: clips of a time when it was not are as old as they are, not as their files say."""
        for name, made_s in self._undated.items():
            right_s = now_s - (time.monotonic() - made_s)
            with contextlib.suppress(FileNotFoundError):
                os.utime(self.path(name, ABOUT), (right_s, right_s))
        self._undated.clear()

    # -- files ----------------------------------------------------------------------------------------------------

    def _made_s(self, name: str) -> float:
        """When it was made; 0 for one that somebody took away."""
        try:
            return self.path(name, ABOUT).stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def _size(self, name: str, endings: set[str]) -> int:
        size = 0
        for ending in endings:
            with contextlib.suppress(FileNotFoundError):
                size += self.path(name, ending).stat().st_size
        return size

    def _unlink(self, name: str, endings: set[str]) -> None:
        for ending in sorted(endings, key=lambda each: each != ABOUT):
            self.path(name, ending).unlink(missing_ok=True)

    def _files(self) -> dict[str, set[str]]:
        """Endings of the files of every name, oldest first."""
        found: dict[str, set[str]] = {}
        for path in sorted(self.folder.iterdir()):
            name, _, ending = path.name.partition(".")
            if NAME.fullmatch(name):
                found.setdefault(name, set()).add(ending)
        return found


def clips(folder: Path, most: int | None = None) -> list[Clip]:
    """The newest first; of a folder that is not there, none."""
    found: list[Clip] = []
    try:
        names = sorted((path.stem for path in folder.glob(f"*.{ABOUT}")), reverse=True)
    except OSError:
        return found
    for name in names:
        if len(found) == most:
            break
        clip = find(folder, name)
        if clip is not None:
            found.append(clip)
    return found


def find(folder: Path, name: str) -> Clip | None:
    """The clip of this name; None when it is no clip or has just been deleted."""
    if not NAME.fullmatch(name):
        return None
    try:
        return read_clip((folder / f"{name}.{ABOUT}").read_bytes())
    except (OSError, ValidationError):
        return None
