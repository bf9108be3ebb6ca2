from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.clock import clock_state
from tests.stepped_clock import SteppedClock

NOBODYS = 16_000_000
REFUSED = PermissionError(1, "adjtimex: Operation not permitted")
ANSWERS = {
    "nobody keeps the clock": (NOBODYS, False, "unsynced"),
    "chrony, ntpd or timesyncd keeps it": (35_000, False, "synced"),
    "the kernel may not be asked, and a unit that may has told": (REFUSED, True, "synced"),
    "the kernel may not be asked": (REFUSED, False, "unsynced"),
}
"""What the kernel says, whether a mark is there, and what is believed."""


@pytest.mark.parametrize(("error_us", "marked", "state"), ANSWERS.values(), ids=ANSWERS)
def test_whoever_keeps_the_clock_it_counts_as_kept(
    tmp_path: Path, error_us: int | OSError, marked: bool, state: str
) -> None:
    mark = tmp_path / "synchronized"
    if marked:
        mark.touch()

    def ask() -> int:
        if isinstance(error_us, OSError):
            raise error_us
        return error_us

    assert clock_state(ask, (tmp_path / "nobodys", mark)) == state


def test_the_unit_that_may_ask_makes_its_mark_when_the_clock_is_kept_and_not_before(tmp_path: Path) -> None:
    mark = tmp_path / "synchronized"
    command = [sys.executable, "-m", "appliance.clock", str(mark)]
    with SteppedClock(tmp_path) as clock:
        environment = {**os.environ, **clock.environment}
        clock.set(0.0, synced=False)
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(command, env=environment, timeout=2, check=False)
        assert not mark.exists()
        clock.set(0.0, synced=True)
        subprocess.run(command, env=environment, timeout=20, check=True)
    assert mark.exists()
