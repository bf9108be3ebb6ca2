"""Clocks for one process, that a test can step while it runs; the machine's own stay as they are."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest

SOURCE = Path(__file__).with_name("stepped_clock.c")


class SteppedClock:
    """Opened with `with`; `environment` is for the process. Skips where there is no C compiler."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("no C compiler: apt-get install g++")
        library, self._path = folder / "stepped_clock.so", folder / "clock"
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True)
        self._path.write_bytes(struct.pack("qqq", 0, 1, 0))
        self.environment = {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(self._path)}
        self._ahead_s = 0.0

    def __enter__(self) -> SteppedClock:
        with self._path.open("r+b") as file:
            self._state = mmap.mmap(file.fileno(), 24)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._state.close()

    def set(self, off_s: float, *, synced: bool = True) -> None:
        """From now on the wall clock is off by so much."""
        self._state[:] = struct.pack("qqq", int(off_s * 1e9), synced, int(self._ahead_s * 1e9))

    def set_to(self, unix_s: float, *, synced: bool = True) -> None:
        """From now on the wall clock goes on from this moment."""
        self.set(unix_s - time.time(), synced=synced)

    def leap(self, by_s: float) -> None:
        """Now so much time has passed, on all clocks: the wall clock is right but for what has been leapt over."""
        self._ahead_s += by_s
        self.set(self._ahead_s)
