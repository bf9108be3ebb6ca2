"""What survives: moments, marks, jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

from appliance.sync.clock_floor import RELEASED_S, ClockFloor
from appliance.sync.ledger import Job, Ledger
from appliance.sync.states import State

SIGNED = datetime(2027, 3, 1, tzinfo=timezone.utc)
JOB = Job("people", "2", State.FETCH, 1.0, True)


@pytest.fixture
def ledger_path(tmp_path: Path) -> Path:
    return tmp_path / "models.db"


def test_a_clock_in_1970_is_not_believed(ledger_path: Path) -> None:
    with Ledger(ledger_path) as ledger:
        clock = ClockFloor(ledger, lambda: 0.0, lambda: False)
        assert clock.now().timestamp() == RELEASED_S
        clock.signed_at(SIGNED)
    with Ledger(ledger_path) as ledger:
        assert ClockFloor(ledger, lambda: 0.0, lambda: False).now() == SIGNED


def test_a_clock_that_is_later_is_believed_and_remembered_only_when_it_is_kept_by_a_time_service(
    ledger_path: Path,
) -> None:
    later_s = SIGNED.timestamp() + 1000
    with Ledger(ledger_path) as ledger:
        assert ClockFloor(ledger, lambda: later_s, lambda: False).now().timestamp() == later_s
        assert ClockFloor(ledger, lambda: 0.0, lambda: False).now().timestamp() == RELEASED_S
        ClockFloor(ledger, lambda: later_s, lambda: True).now()
        assert ClockFloor(ledger, lambda: 0.0, lambda: False).now().timestamp() == later_s


def test_an_earlier_signature_does_not_lower_the_floor(ledger_path: Path) -> None:
    with Ledger(ledger_path) as ledger:
        clock = ClockFloor(ledger, lambda: 0.0, lambda: False)
        clock.signed_at(SIGNED)
        clock.signed_at(datetime(2026, 12, 1, tzinfo=timezone.utc))
        assert clock.now() == SIGNED


def test_jobs_history_and_denials_are_there_after_a_restart(ledger_path: Path) -> None:
    with Ledger(ledger_path) as ledger:
        ledger.put(JOB, "wanted")
        ledger.move(JOB, State.RETURNED, "returned", reason="it was bad")
        ledger.deny("sha256:1", "people", "2", "it was bad")
        ledger.put_note("pin people", "1")
    with Ledger(ledger_path) as ledger:
        job = ledger.job("people")
        assert job is not None
        assert (job.state, job.reason, job.activate) == (State.RETURNED, "it was bad", True)
        assert [line.event for line in ledger.history("people")] == ["returned", "wanted"]
        assert ledger.denied("sha256:1") == "it was bad"
        assert ledger.notes("pin ") == {"people": "1"}
        assert ledger.forgive("people", "2") == 1
        assert ledger.denied("sha256:1") is None


def test_marks_never_fall(ledger_path: Path) -> None:
    with Ledger(ledger_path) as ledger:
        assert ledger.raise_mark("a", 5) == 5
        assert ledger.raise_mark("a", 3) == 5


def test_two_processes_may_use_it(ledger_path: Path) -> None:
    with Ledger(ledger_path) as mine, Ledger(ledger_path) as theirs:
        mine.put(JOB)
        assert theirs.job("people") == JOB


@pytest.mark.parametrize("content", [b"no database" * 1000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_ledger_is_set_aside_and_the_device_goes_on(ledger_path: Path, content: bytes) -> None:
    ledger_path.write_bytes(content)
    with Ledger(ledger_path) as ledger:
        assert ledger.jobs() == ()
        ledger.put(JOB)
    assert ledger_path.with_name("models.db.damaged").read_bytes() == content


def test_what_was_written_before_kill_9_is_there(ledger_path: Path) -> None:
    code = (
        "import os, sys, signal\nfrom pathlib import Path\nfrom appliance.sync.ledger import Ledger\n"
        "with Ledger(Path(sys.argv[1])) as ledger:\n    ledger.raise_mark('n', 7)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code, str(ledger_path)], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    with Ledger(ledger_path) as ledger:
        assert ledger.mark("n") == 7
