"""The unit: nothing unknown in it, as closed as promised, and its paths are ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parent.parent / "systemd" / "appliance.service"
MOST_EXPOSURE = 1.5


@pytest.fixture
def analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    return program


def test_the_unit_has_no_unknown_key(analyze: str, tmp_path: Path) -> None:
    unit = tmp_path / "appliance.service"
    unit.write_text(UNIT.read_text().replace("/opt/appliance/bin/appliance", sys.executable))
    done = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_as_closed_as_promised(analyze: str) -> None:
    done = subprocess.run(
        [analyze, "security", "--offline=true", "--no-pager", str(UNIT)], capture_output=True, text=True, check=False
    )
    found = re.search(r"Overall exposure level for appliance.service: ([\d.]+)", done.stdout)
    if found is None:
        pytest.skip(f"this systemd cannot judge a unit offline: {done.stderr.strip()}")
    assert float(found[1]) <= MOST_EXPOSURE


def test_the_watchdog_is_longer_than_the_slowest_sign_of_life() -> None:
    """The daemon's tick is 0.2 s and a run may take three time-outs of 2 s before it counts as stuck."""
    found = re.search(r"WatchdogSec=(\d+)", UNIT.read_text())
    assert found is not None
    assert int(found[1]) >= 10
