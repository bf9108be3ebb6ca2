"""How the machine is: temperature, power and its mode, the clock."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from appliance.clock import clock_state
from appliance.finding import Finding
from appliance.power import SYS, Power
from appliance.temperature import Thermometer

WARM_C = 80.0
HOT_C = 95.0
"""Jetsons slow down from about 97 °C on, and switch off a little above."""
A_TIME_SERVICE = "systemctl enable --now systemd-timesyncd, or chrony or ntpd, and a server that it reaches"
NO_EARLIER_THAN_S = 1_767_225_600.0
"""2026-01-01: a clock before this is one without a battery."""


def machine_findings(root: Path = SYS) -> Iterator[Finding]:
    """`root` stands for /sys."""
    yield _temperature(Thermometer(root).celsius)
    power = Power(root)
    yield Finding("power", "ok" if power.figures.reason.startswith("measured") else "note", power.figures.reason)
    yield from _governor(root)
    yield from _power_mode()
    yield judge_clock(time.time())


def _temperature(celsius: float | None) -> Finding:
    if celsius is None:
        return Finding("temperature", "note", "nothing here tells it")
    text = f"{celsius:.0f} °C at the hottest part"
    if celsius < WARM_C:
        return Finding("temperature", "ok", text)
    fix = "let air to it, clean its fan, lower max_per_s of the pipelines or the power mode"
    return Finding("temperature", "problem" if celsius >= HOT_C else "note", f"{text}: it slows down when hot", fix)


def _governor(root: Path) -> Iterator[Finding]:
    path = root / "devices/system/cpu/cpu0/cpufreq/scaling_governor"
    try:
        governor = path.read_text().strip()
    except OSError:
        return
    if governor == "powersave" and not (path.parent.parent.parent / "intel_pstate").exists():
        fix = "as root: echo schedutil | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        yield Finding("power mode", "note", "the processor is held at its lowest clock (governor powersave)", fix)


def _power_mode() -> Iterator[Finding]:
    """Of a Jetson, by its own program."""
    if shutil.which("nvpmodel") is None:
        return
    done = subprocess.run(["nvpmodel", "-q"], capture_output=True, text=True, check=False, timeout=10)
    mode = re.search(r"Power Mode:\s*(\S+)", done.stdout)
    if mode is None:
        yield Finding("power mode", "note", "nvpmodel does not tell it", "as root: nvpmodel -q")
    elif mode[1].startswith("MAXN"):
        yield Finding("power mode", "ok", mode[1])
    else:
        fix = "as root, where the power supply allows it: nvpmodel -m 0"
        yield Finding("power mode", "note", f"{mode[1]}: less than this machine can do", fix)


def judge_clock(now_s: float) -> Finding:
    """`now_s`: what the wall clock says, UTC."""
    if now_s < NO_EARLIER_THAN_S:
        year = time.gmtime(now_s).tm_year
        text = f"it says {year}: certificates of brokers and services are refused, results carry wrong times"
        return Finding("clock", "problem", text, f"{A_TIME_SERVICE}; a battery for the clock")
    if clock_state() == "synced":
        return Finding("clock", "ok", "synchronised")
    text = "not synchronised: results say so, times may be wrong"
    return Finding("clock", "note", text, A_TIME_SERVICE)
