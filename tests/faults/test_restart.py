"""Goal G32: how soon an appliance that was killed is ready again, and how soon somebody hears of it."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest

from tests.appliance.test_daemon import scene
from tests.appliance_process import ApplianceProcess, Ear
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.supervisor import Supervisor
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker]

RESTART_S = 1.0
"""RestartSec of the unit: what systemd waits before it starts a new one."""
READY_WITHIN_S, EVENT_WITHIN_S = 5.0, 3.0


def test_after_kill_9_it_is_ready_and_heard_within_seconds(broker: Broker, tmp_path: Path, long_run: bool) -> None:
    kills = 20 if long_run else 3
    ready_s, event_s = [], []
    with (
        Supervisor(tmp_path) as supervisor,
        Ear(broker.port) as ear,
        ApplianceProcess(tmp_path, scene(broker), **supervisor.environment) as appliance,
    ):
        until(supervisor.ready, 30)
        for _ in range(kills):
            appliance.send(signal.SIGKILL)
            killed_s = time.monotonic()
            appliance.ends()
            threading.Event().wait(RESTART_S)
            started_s = time.monotonic()
            appliance.start()
            until(lambda: supervisor.ready(started_s), 30)  # noqa: B023 - asked at once
            ready_s.append(supervisor.ready_at_s(started_s) - killed_s)
            until(lambda: ear.arrivals_s("pipeline/shapes/event", started_s), 30)  # noqa: B023 - asked at once
            event_s.append(ear.arrivals_s("pipeline/shapes/event", started_s)[0] - started_s)
    figures = {"kill_to_ready_s": round(max(ready_s), 2), "start_to_event_s": round(max(event_s), 2)}
    tell("G32 killed", None, kills=kills, **figures)
    assert figures["kill_to_ready_s"] <= READY_WITHIN_S
    assert figures["start_to_event_s"] <= EVENT_WITHIN_S
