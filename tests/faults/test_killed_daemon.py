"""Goal G1: the daemon killed with -9 again and again while events keep coming."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from tests.chaos.scene import Scene, at_work, kill
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.uplinks import settings

RATE_HZ = 2000.0


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_nothing_accepted_is_lost_when_the_daemon_is_killed_again_and_again(
    new_broker: type[Broker], tmp_path: Path, long_run: bool
) -> None:
    """A pace above the default asks for a longer queue in the broker: on a busy machine the receiver falls behind."""
    kills, events = (200, 100_000) if long_run else (60, 30_000)
    seed = 7
    chance = random.Random(seed)
    scene = Scene(tmp_path)
    pause = threading.Event()
    started_s = time.monotonic()
    with at_work(new_broker(tmp_path, f"max_queued_messages {events}")) as broker, scene.receiving(broker.port):
        wanted = settings(broker.url, tmp_path, drain_per_s=10_000.0)
        for left in range(kills, 0, -1):
            first = scene.next_number()
            share_s = max(0.0, events - first) / left / RATE_HZ
            with scene.generating(settings=wanted, first=first, count=events - first, rate_hz=RATE_HZ) as daemon:
                pause.wait(chance.uniform(0.5, 1.5) * share_s)
                kill(daemon)
        first = scene.next_number()
        with scene.generating(settings=wanted, first=first, count=events - first, rate_hz=RATE_HZ):
            scene.wait_accepted(events, 300)
            scene.wait_received(300)
    report = scene.report()
    tell("G1 killed daemon", report, kills=kills, seconds=round(time.monotonic() - started_s, 1), seed=seed)
    assert report.lost == report.out_of_order == report.conflicts == report.unidentified == 0
    assert report.accepted >= events
    assert report.duplicate_share <= 0.10
