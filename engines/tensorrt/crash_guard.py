"""A GPU that ends every process that opens it must not keep the appliance from working.

A marker lies in the cache while the driver is asked, while an engine is opened and for its first minute. One whose
process is gone tells of a process that ended in that time, which nothing in it could tell any more. After three of them
the GPU is left alone for an hour.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from types import TracebackType

from engines.engine import EngineLost, EngineUnavailable

MOST = 3
SETTLED_S = 60.0
FORGIVEN_S = 3600.0

_PREFIX = "opened-"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class CrashGuard:
    """Of one engine; used by its thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._marker: Path | None = None
        self._begun_s = 0.0
        self._worked = False

    def __enter__(self) -> CrashGuard:
        """Before the GPU is touched. Raises EngineUnavailable when that has ended too many processes lately."""
        victims = crashes(self._folder)
        if len(victims) >= MOST:
            minutes = (FORGIVEN_S - (time.time() - min(path.stat().st_mtime for path in victims))) / 60
            raise EngineUnavailable(
                f"{len(victims)} processes ended within a minute of opening the GPU; it is left alone for another "
                f"{max(1, round(minutes))} min: see `dmesg` for Xid or nvgpu errors; `appliance models build` tries it "
                "at once"
            )
        self._marker = self._folder / f"{_PREFIX}{_boot()}-{os.getpid()}-{id(self)}"
        self._begun_s = time.monotonic()
        with contextlib.suppress(OSError):  # a cache that cannot be written guards nothing, and serves
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._marker.touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """After it was closed in order; a lost GPU, which is about to end the process, is remembered."""
        if kind is not None and issubclass(kind, EngineLost):
            self._marker = None
        elif self._worked:  # it answered and was closed: whatever was, this GPU works
            forget(self._folder)
        self._take_away()

    def works(self) -> None:
        """After every run: a minute of them, and all is forgiven."""
        self._worked = True
        if self._marker is not None and time.monotonic() - self._begun_s > SETTLED_S:
            self._take_away()
            forget(self._folder)

    def _take_away(self) -> None:
        if self._marker is not None:
            with contextlib.suppress(OSError):
                self._marker.unlink(missing_ok=True)
            self._marker = None


def crashes(folder: Path) -> list[Path]:
    """Markers of processes that are gone, from this start of the machine; those that tell nothing are cleared away."""
    found = []
    for path in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            boot, pid, _ = path.name.removeprefix(_PREFIX).rsplit("-", 2)
            if boot != _boot() or abs(time.time() - path.stat().st_mtime) > FORGIVEN_S:
                path.unlink(missing_ok=True)  # the power failed, it is long ago, or the clock was set back
            elif not Path(f"/proc/{pid}").exists():
                found.append(path)
    return found


def forget(folder: Path) -> None:
    """What happened is no reason any more."""
    for path in crashes(folder):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"
