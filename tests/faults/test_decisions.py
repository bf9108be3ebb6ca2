"""Every sample has its result by the deadline while the service takes questions and answers none."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.chaos.telling import tell
from tests.conftest import REPOSITORY, Broker

pytestmark = [pytest.mark.faults, pytest.mark.broker]


@pytest.mark.parametrize("engine", ["healthy", "missing", "busy"])
def test_every_decision_falls_in_time(engine: str, broker: Broker, long_run: bool) -> None:
    samples = 1000 if long_run else 120
    command = ["-m", "scripts.benchmarks.decisions", "--broker", broker.url, "--engine", engine]
    done = subprocess.run(
        [sys.executable, *command, "--samples", str(samples)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["decided"] == samples
    if engine == "missing":
        assert found["failed"] == samples
    slack_ms = 10 + 2 * found["machine_late_ms"]  # as late as this machine makes a process that only sleeps
    tell(f"G13 {engine}", samples=samples, latest_ms=found["latest_ms"], over_slack_ms=found["latest_ms"] - slack_ms)
    assert found["latest_ms"] <= slack_ms, found
    assert 3 <= found["asked"] <= samples / 2, "the breaker leaves a dead service alone, and tries it again"
