"""The units: nothing unknown in them, as closed as promised, and their paths are ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.clock import MARKS
from tests.chaos.telling import tell

FOLDER = Path(__file__).parent.parent / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
MOST_EXPOSURE = 1.5


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    return program


@pytest.mark.parametrize("source", UNITS, ids=lambda path: path.stem)
def test_a_unit_has_no_unknown_key(analyze: str, tmp_path: Path, source: Path) -> None:
    unit = tmp_path / source.name
    unit.write_text(re.sub("/opt/appliance/(current/)?bin/(appliance|python)", sys.executable, source.read_text()))
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_a_unit_is_as_closed_as_promised(analyze: str, unit: Path) -> None:
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True, check=False
    )
    found = re.search(rf"Overall exposure level for {re.escape(unit.name)}: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd cannot judge a unit offline: {done.stderr.strip()}")
    assert float(found[1]) <= MOST_EXPOSURE
    tell("G22 exposure", unit=unit.stem, exposure=float(found[1]))


@pytest.mark.parametrize(
    "unit", [each for each in UNITS if "WatchdogSec" in each.read_text()], ids=lambda path: path.stem
)
def test_the_watchdog_is_longer_than_the_slowest_sign_of_life(unit: Path) -> None:
    """The tick of both is 0.2 s; in the daemon a run may take three time-outs of 2 s before it counts as stuck."""
    found = re.search(r"WatchdogSec=(\d+)", unit.read_text())
    assert found is not None
    assert int(found[1]) >= 10


def test_the_appliance_reads_where_the_unit_that_asks_for_the_clock_writes() -> None:
    """Its own filter of system calls forbids it to ask the kernel."""
    asks = (FOLDER / "appliance-clock.service").read_text()
    assert f"-m appliance.clock {MARKS[0]}" in asks
    assert f"RuntimeDirectory={MARKS[0].parent.name}" in asks
    assert "SystemCallFilter=adjtimex clock_adjtime" in asks, "the second is what the C library's adjtimex calls"
    assert re.search("^Wants=.*appliance-clock.service", (FOLDER / "appliance.service").read_text(), re.MULTILINE)
