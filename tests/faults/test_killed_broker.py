"""Goals G1, G3, G4: the broker killed with -9, alone and together with the daemon; a broker with nobody behind it."""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from tests.chaos.scene import Scene, at_work, kill
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.uplinks import TOPICS, Listener, Running, connected, settings, spool
from tests.waiting import until

RATE_HZ = 1000.0
PERSISTENCE = "persistence true\npersistence_location {folder}/\n"


@pytest.mark.faults
@pytest.mark.parametrize("persistent", [False, True], ids=["without persistence", "with persistence"])
def test_a_broker_killed_again_and_again_loses_nothing_and_keeps_the_order(
    new_broker: type[Broker], tmp_path: Path, persistent: bool, long_run: bool
) -> None:
    kills, events = (5, 20_000) if long_run else (3, 8_000)
    seed = 11
    chance = random.Random(seed)
    broker = new_broker(tmp_path, PERSISTENCE.format(folder=tmp_path) if persistent else "")
    scene = Scene(tmp_path)
    pause = threading.Event()
    started_s = time.monotonic()
    with at_work(broker), scene.receiving(broker.port):
        wanted = settings(broker.url, tmp_path)
        with scene.generating(settings=wanted, first=0, count=events, rate_hz=RATE_HZ):
            for _ in range(kills):
                pause.wait(chance.uniform(0.5, 1.5) * events / RATE_HZ / (kills + 2))
                broker.kill()
                pause.wait(chance.uniform(0.1, 0.5))
                broker.start()
            scene.wait_accepted(events, 30)
            scene.wait_received(30)
    report = scene.report()
    tell(
        "G1 killed broker",
        report,
        persistent=persistent,
        kills=kills,
        seconds=round(time.monotonic() - started_s, 1),
        seed=seed,
    )
    assert report.accepted == events
    assert report.lost == report.out_of_order == report.conflicts == report.unidentified == 0


@pytest.mark.faults
@pytest.mark.timeout(800)
def test_end_to_end_nothing_is_lost_when_broker_and_daemon_are_killed_in_turn(
    new_broker: type[Broker], tmp_path: Path, long_run: bool
) -> None:
    kills, events = (10, 30_000) if long_run else (5, 15_000)
    seed = 13
    chance = random.Random(seed)
    broker = new_broker(tmp_path)
    scene = Scene(tmp_path)
    pause = threading.Event()
    wanted = settings(broker.url, tmp_path, acknowledge="end-to-end")
    share_s = events / RATE_HZ / (kills + 1)
    started_s = time.monotonic()
    with at_work(broker), scene.receiving(broker.port, confirms=True):
        for _ in range(kills):
            first = scene.next_number()
            with scene.generating(settings=wanted, first=first, count=events - first, rate_hz=RATE_HZ) as daemon:
                pause.wait(chance.uniform(0.3, 0.7) * share_s)
                broker.kill()
                pause.wait(chance.uniform(0.05, 0.4))
                broker.start()
                pause.wait(chance.uniform(0.3, 0.7) * share_s)
                kill(daemon)
        first = scene.next_number()
        with scene.generating(settings=wanted, first=first, count=events - first, rate_hz=RATE_HZ):
            scene.wait_accepted(events, 300)
            scene.wait_received(300)
    report = scene.report()
    seconds = round(time.monotonic() - started_s, 1)
    tell("G3 end to end", report, daemon_kills=kills, broker_kills=kills, seconds=seconds, seed=seed)
    assert report.lost == report.conflicts == report.unidentified == 0


@pytest.mark.faults
def test_events_wait_on_disk_while_nobody_subscribes_and_come_in_order(
    broker: Broker, tmp_path: Path, long_run: bool
) -> None:
    alone_s = 60.0 if long_run else 4.0
    with Running(settings(broker.url, tmp_path)) as uplink:
        connected(uplink)
        pause = threading.Event()
        number = 0
        started_s = time.monotonic()
        while time.monotonic() < started_s + alone_s:
            for _ in range(10):
                uplink.mailbox.put(spool(number))
                number += 1
            pause.wait(0.1)
        until(lambda: uplink.figures().stored == number, what="all of it is still stored")
        returned_s = time.monotonic()
        with Listener(broker.port) as listener:
            until(lambda: len(listener.numbers()) == number, 60)
            delivered_s = round(time.monotonic() - returned_s, 1)
            assert listener.numbers() == list(range(number))
            assert len(listener.on(TOPICS.event("people"))) == number
    tell("G4 nobody subscribes", events=number, seconds=alone_s, delivered_s=delivered_s, lost=0)
