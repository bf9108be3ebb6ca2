"""Everything that the numbers are made of, at one moment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading

    from appliance.assembly import Assembly
    from appliance.health import Health
    from appliance.histogram import Histogram
    from appliance.traces.collector import Collector

TASKS = Path("/proc/self/task")


@dataclass(frozen=True, slots=True)
class Observed:
    """Made by the daemon, read on the thread `metrics`. What it refers to goes on counting meanwhile."""

    device: str
    health: Health
    """As the main thread saw it last."""
    assembly: Assembly
    threads: Mapping[str, threading.Thread]
    """Those of the daemon, by name."""
    ready: bool
    live_times: Histogram | None = None
    """Of results on their way out; None without a broker."""
    stored_times: Histogram | None = None
    """Of events on their way to the disk."""
    joules: float | None = None
    """Drawn since the start; None where nothing tells it."""
    traces: Collector | None = None
    """Who takes traces; None where none are made."""
    viewers: int | None = None
    """Of the live page; None where there is none."""


def cpu_s(thread: threading.Thread) -> float | None:
    """CPU time that a thread has used, to 10 ms; None where that is not told, or it has ended."""
    try:
        fields = (TASKS / str(thread.native_id) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
