"""An X display of a test's own, with a screen that can be looked at (Xvfb)."""

from __future__ import annotations

import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from capture.samples import Pixels
from tests.waiting import until

WIDTH, HEIGHT = 1280, 800
LOOK_EVERY_S = 0.5
"""Looking is 4 MB to copy and compare: more often, and on a busy machine nothing is left for those who draw."""


@dataclass(frozen=True, slots=True)
class Display:
    name: str
    """For DISPLAY."""
    frame_buffer: Path

    def look(self) -> Pixels:
        """What is on the screen: uint8 (h, w, 3) BGR. The file is an X window dump (XWDFile.h)."""
        threading.Event().wait(LOOK_EVERY_S)
        content = self.frame_buffer.read_bytes()
        head = struct.unpack(">25I", content[:100])
        start, height, row_bytes = head[0] + 12 * head[19], head[5], head[12]
        rows = np.frombuffer(content, np.uint8, height * row_bytes, start).reshape(height, row_bytes)
        return np.ascontiguousarray(rows.reshape(height, -1, 4)[:, : head[4], :3])


@contextmanager
def display(folder: Path) -> Iterator[Display]:
    """Skips where there is no Xvfb."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed: apt-get install xvfb")
    numbers, told = folder / "display", folder / "Xvfb_screen0"
    with numbers.open("wb") as out:
        screen = ["-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-fbdir", str(folder), "-nolisten", "tcp"]
        screen += ["-noreset"]  # or it begins anew, black, when the one who asked whether it answers has gone
        server = subprocess.Popen(["Xvfb", "-displayfd", "1", *screen], stdout=out, stderr=subprocess.DEVNULL)
    try:
        until(lambda: numbers.read_text().strip() and told.exists(), 20, what="Xvfb")
        yield Display(f":{numbers.read_text().strip()}", told)
    finally:
        server.terminate()
        server.wait(10)
