"""A GPU that ends processes is left alone, and not for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engines.engine import EngineUnavailable
from engines.tensorrt.crash_guard import CrashGuard, crashes, forget

CRASH = """
import os, sys
from pathlib import Path
from engines.tensorrt.crash_guard import CrashGuard
with CrashGuard(Path(sys.argv[1])):
    os.abort()
"""


def crash(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", CRASH, str(folder)], check=False, stderr=subprocess.DEVNULL)


def test_after_three_crashes_the_gpu_is_left_alone_and_the_reason_told(tmp_path: Path) -> None:
    for _ in range(3):
        with CrashGuard(tmp_path):  # ours still lives: no crash
            crash(tmp_path)
    assert len(crashes(tmp_path)) == 3
    with pytest.raises(EngineUnavailable, match=r"3 processes ended within a minute of opening the GPU; .* 60 min"):
        CrashGuard(tmp_path).__enter__()


def test_two_crashes_are_bad_luck(tmp_path: Path) -> None:
    crash(tmp_path)
    crash(tmp_path)
    with CrashGuard(tmp_path):
        pass


def test_what_ends_in_order_is_no_crash(tmp_path: Path) -> None:
    with CrashGuard(tmp_path):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_lost_gpu_is_remembered_although_the_process_ends_in_order(tmp_path: Path) -> None:
    program = CRASH.replace("os.abort()", "raise EngineLost('an illegal address')").replace(
        "import os, sys", "import sys\nfrom engines.engine import EngineLost"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, stderr=subprocess.DEVNULL)
    assert len(crashes(tmp_path)) == 1


def test_after_an_hour_it_is_tried_again(tmp_path: Path) -> None:
    for _ in range(3):
        crash(tmp_path)
    long_ago = time.time() - 3700
    for marker in tmp_path.iterdir():
        os.utime(marker, (long_ago, long_ago))
    with CrashGuard(tmp_path):
        pass


def test_a_clock_that_is_set_back_does_not_keep_the_gpu_alone_for_longer(tmp_path: Path) -> None:
    for _ in range(3):
        crash(tmp_path)
    tomorrow = time.time() + 86_400
    for marker in tmp_path.iterdir():
        os.utime(marker, (tomorrow, tomorrow))
    with CrashGuard(tmp_path):
        pass


def test_power_cuts_are_no_crashes(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"opened-another-boot-{number}-1").touch()
    with CrashGuard(tmp_path):
        pass


def test_the_owner_can_have_it_tried_at_once(tmp_path: Path) -> None:
    for _ in range(3):
        crash(tmp_path)
    forget(tmp_path)
    with CrashGuard(tmp_path):
        pass


def test_a_cache_that_is_not_there_guards_nothing_and_breaks_nothing(tmp_path: Path) -> None:
    with CrashGuard(tmp_path / "none") as guard:
        guard.works()


def test_a_process_that_answered_and_ended_in_order_makes_up_for_those_before(tmp_path: Path) -> None:
    crash(tmp_path)
    crash(tmp_path)
    with CrashGuard(tmp_path) as guard:
        guard.works()
    assert crashes(tmp_path) == []
