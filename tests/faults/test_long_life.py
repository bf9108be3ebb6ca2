"""What goes wrong only after a while: half an hour passes in seconds.

Found by a soak of an hour: the uplink's thread ended 1,024 s after every connection.
"""

from __future__ import annotations

import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.appliance.test_daemon import scene
from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.stepped_clock import SteppedClock
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.timeout(900)]

LEAP_S = 12.0
"""Less than a keep-alive, and than HUNG_AFTER_S: what answers between two of them is not given up."""
HALF_AN_HOUR_S, HALF_A_DAY_S = 1800.0, 43_200.0
RESULT = "pipeline/shapes/result"
PATIENT = """
timeout_s = 600
max_per_s = 1000
[pipeline.recorder]
after_s = 1
longest_s = 1
[pipeline.harvest]
unsure_between = [0.0, 1.0]
"""


def config(broker: Broker) -> str:
    tables = '[page]\nlisten = "127.0.0.1:0"\n[metrics]\nlisten = "127.0.0.1:0"\n[home_assistant]\n'
    return scene(broker, more=tables, pipeline=PATIENT).replace("fps = 10", "fps = 30\nstale_after_s = 600")


def test_every_thread_outlives_half_an_hour(broker: Broker, tmp_path: Path, long_run: bool) -> None:
    with SteppedClock(tmp_path) as clock, Ear(broker.port) as ear:
        environment = clock.environment
        with ApplianceProcess(tmp_path, config(broker), **environment) as appliance:
            ear.await_document(RESULT, within_s=60, status="ok")
            leaps = int((HALF_A_DAY_S if long_run else HALF_AN_HOUR_S) / LEAP_S)
            for leap in range(leaps):
                clock.leap(LEAP_S)
                leapt_s = time.monotonic()
                until(partial(ear.arrivals_s, RESULT, leapt_s), 15, f"a result {(leap + 1) * LEAP_S:.0f} s on")
            health = ear.await_document("box/health", leapt_s, within_s=60)
            appliance.send(signal.SIGTERM)
            assert appliance.ends() == 0
    assert health["uptime_s"] >= leaps * LEAP_S
    assert health["status"] == "ok", health["reasons"]
    assert "Traceback" not in appliance.log
