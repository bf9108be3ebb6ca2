"""A running appliance whose network camera is stopped, frozen and started again."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.appliance_process import ApplianceProcess, Ear
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.network_camera import NetworkCamera, Relay
from tests.rtsp_server import read_marks
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.timeout(1200)]

NOTICED_WITHIN_S = 3.0
"""As a subscriber sees it."""
BACK_WITHIN_S = 5.0
LAG_S = 1.0
GROWTH_MB = 20.0
STATUS = "source/gate/available"


def configuration(broker: Broker, uri: str) -> str:
    return f"""
[mqtt]
broker = "{broker.url}"
[[camera]]
name = "gate"
uri = "{uri}"
stale_after_s = 2.5
[[pipeline]]
name = "shapes"
source = "gate"
model = "shapes"
"""


def lag_s(ear: Ear) -> float:
    """Age of the picture that the pipeline saw last, read from the clock inside the picture."""
    asked_s = time.monotonic()
    ear.say("appliance/box/request/snapshot", {"data": {"pipeline": "shapes"}})
    until(lambda: ear.payloads("pipeline/shapes/snapshot", asked_s), 5)
    jpeg = np.frombuffer(ear.payloads("pipeline/shapes/snapshot", asked_s)[-1], np.uint8)
    pixels = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    assert pixels is not None
    return read_marks(pixels).age_s()


def results_flow(ear: Ear) -> None:
    """Results come again, and they are about now."""
    since_s = time.monotonic()
    until(lambda: len(ear.payloads("pipeline/shapes/result", since_s)) >= 5, 5, what="results")
    assert lag_s(ear) < LAG_S


def await_noticed(ear: Ear, since_s: float) -> None:
    until(lambda: {b"stale", b"offline"} & set(ear.payloads(STATUS, since_s)), NOTICED_WITHIN_S, what="noticed")


def test_a_camera_that_stops_and_freezes_is_noticed_and_taken_up_again(
    broker: Broker, tmp_path: Path, long_run: bool
) -> None:
    with (
        NetworkCamera() as camera,
        Ear(broker.port) as ear,
        ApplianceProcess(tmp_path, configuration(broker, camera.uri)) as appliance,
    ):
        ear.await_payload(STATUS, b"online", within_s=60)
        results_flow(ear)
        before_mb, handles, threads = 0.0, 0, 0
        cycles, noticed_s, back_s = 25 if long_run else 4, [], []
        for cycle in range(cycles):
            stopped_s = time.monotonic()
            camera.kill()
            ear.await_payload(STATUS, b"offline", stopped_s, NOTICED_WITHIN_S)
            noticed_s.append(time.monotonic() - stopped_s)
            started_s = time.monotonic()
            camera.start()
            ear.await_payload(STATUS, b"online", stopped_s, BACK_WITHIN_S)
            back_s.append(time.monotonic() - started_s)
            results_flow(ear)

            frozen_s = time.monotonic()
            camera.freeze()
            await_noticed(ear, frozen_s)
            thawed_s = time.monotonic()
            noticed_s.append(thawed_s - frozen_s)
            camera.thaw()
            ear.await_payload(STATUS, b"online", thawed_s, BACK_WITHIN_S)
            back_s.append(time.monotonic() - thawed_s)
            results_flow(ear)
            if cycle == 1:
                before_mb, handles, threads = appliance.memory_mb(), appliance.handles(), appliance.threads()
        assert appliance.running
        assert appliance.memory_mb() - before_mb < GROWTH_MB
        assert appliance.handles() <= handles + 2
        assert appliance.threads() <= threads + 2
    tell(
        "G26 network camera",
        outages=2 * cycles,
        noticed_s=round(max(noticed_s), 2),
        back_s=round(max(back_s), 2),
        deaths=0,
    )


def test_a_camera_that_sends_garbage_is_noticed_and_taken_up_again(
    broker: Broker, tmp_path: Path, long_run: bool
) -> None:
    with (
        NetworkCamera() as camera,
        Relay(camera.port) as relay,
        Ear(broker.port) as ear,
        ApplianceProcess(
            tmp_path, configuration(broker, camera.uri.replace(str(camera.port), str(relay.port)))
        ) as appliance,
    ):
        ear.await_payload(STATUS, b"online", within_s=60)
        cycles, noticed_s, back_s = 10 if long_run else 2, [], []
        for _ in range(cycles):
            results_flow(ear)
            spoiled_s = time.monotonic()
            with relay.spoiled():
                await_noticed(ear, spoiled_s)
                noticed_s.append(time.monotonic() - spoiled_s)
            mended_s = time.monotonic()
            ear.await_payload(STATUS, b"online", mended_s, BACK_WITHIN_S)
            back_s.append(time.monotonic() - mended_s)
        assert appliance.running
    tell("G26 garbage", outages=cycles, noticed_s=round(max(noticed_s), 2), back_s=round(max(back_s), 2))
