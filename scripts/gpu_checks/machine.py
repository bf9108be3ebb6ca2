"""Power mode, clocks and throttling: without them no figure of a GPU can be compared with another."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_QUERY = "name,driver_version,pstate,clocks.sm,clocks.mem,clocks_throttle_reasons.active,power.limit,temperature.gpu"


def facts() -> dict[str, str]:
    """What this machine tells; empty where it tells nothing."""
    found = {"nvidia-smi": _said("nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader")}
    found["power mode"] = _said("nvpmodel", "-q")
    found["governor"] = _read(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"))
    found["board"] = _read(Path("/proc/device-tree/model")).rstrip("\0")
    return {name: text for name, text in found.items() if text}


def _said(program: str, *words: str) -> str:
    if shutil.which(program) is None:
        return ""
    done = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=30)
    return " ".join(done.stdout.split()) if done.returncode == 0 else ""


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
