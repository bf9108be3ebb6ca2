"""Goal G24: a wall clock that starts in 1970, is put right, and jumps: nothing is lost, late or out of order."""

from __future__ import annotations

import itertools
import random
import signal
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.test_daemon import scene
from tests.appliance_process import ApplianceProcess, Ear
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.stepped_clock import SteppedClock
from tests.supervisor import WATCHDOG_S, Supervisor
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.timeout(400)]

HOUR_S, DAY_S = 3600.0, 86_400.0
YEARS_S = 730 * DAY_S
RESULT, EVENT = "pipeline/shapes/result", "pipeline/shapes/event"
PUT_RIGHT_WITHIN_MS = 50.0


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[SteppedClock]:
    with SteppedClock(tmp_path) as clock:
        yield clock


def captured_s(result: dict[str, Any]) -> float:
    return datetime.fromisoformat(result["captured_at"].replace("Z", "+00:00")).timestamp()


def off_ms(result: dict[str, Any], arrived_s: float) -> float:
    """How far the time of an answered picture is from when it must have been taken; the way to us counts too."""
    return 1000 * (arrived_s - captured_s(result)) - float(result["latency_ms"]["total"])


def steps(chance: random.Random, small: int) -> list[float]:
    """Where the clock stands after each step, off by so many seconds."""
    large = [YEARS_S, 0.0, HOUR_S, -HOUR_S, DAY_S, -DAY_S, 0.0]
    return large + [chance.choice((-5.0, 5.0)) for _ in range(small)] + [0.0]


def test_a_clock_that_starts_in_1970_and_jumps_costs_nothing(
    broker: Broker, clock: SteppedClock, tmp_path: Path, long_run: bool
) -> None:
    pause, seed = threading.Event(), 41
    clock.set_to(10.0, synced=False)
    with Supervisor(tmp_path) as supervisor, Ear(broker.port) as ear:
        environment = clock.environment | supervisor.environment
        with ApplianceProcess(tmp_path, scene(broker), **environment) as appliance:
            until(supervisor.ready, 60)
            ready_s = time.monotonic()
            first = ear.await_document(RESULT, within_s=20, status="ok", clock="unsynced")
            assert captured_s(first) < DAY_S, "it is 1970"
            clock.set(0.0)
            right_s = time.monotonic()
            until(lambda: len(ear.documents(RESULT, right_s + 0.5)) >= 5, 20)
            wall_s = time.time() - time.monotonic()
            arrived = zip(ear.documents(RESULT, right_s + 0.5), ear.arrivals_s(RESULT, right_s + 0.5), strict=False)
            put_right_ms = min(abs(off_ms(result, wall_s + at_s)) for result, at_s in arrived if "latency_ms" in result)
            if long_run:  # the appliance looks every 30 s
                ear.await_document(RESULT, right_s, within_s=60, clock="synced")
            chosen = steps(random.Random(seed), small=100 if long_run else 12)
            for step in chosen:
                clock.set(step)
                pause.wait(0.25)
            stepped_s = time.monotonic()
            ear.await_document(EVENT, stepped_s, within_s=30)
            silence_s = supervisor.longest_silence_s(ready_s)
            appliance.send(signal.SIGTERM)
            assert appliance.ends() == 0
        results, events = ear.documents(RESULT), ear.documents(EVENT)
    lost = sum(place != at for at, place in enumerate((each["spool"]["seq"] for each in events), 1))
    seqs = [each["seq"] for each in results]
    backwards = sum(later <= earlier for earlier, later in itertools.pairwise(seqs))
    slowest_ms = max(each["latency_ms"]["total"] for each in results if "latency_ms" in each)
    tell(
        "G24 clock steps",
        None,
        steps=len(chosen) + 1,
        lost=lost,
        out_of_order=backwards,
        watchdog_hits=int(silence_s >= WATCHDOG_S),
        longest_silence_s=round(silence_s, 2),
        put_right_ms=round(put_right_ms, 1),
        events=len(events),
        slowest_result_ms=round(slowest_ms),
        seed=seed,
    )
    assert lost == backwards == 0
    assert silence_s < WATCHDOG_S
    assert slowest_ms < 60_000, "ages are of the monotonic clock"
    assert put_right_ms <= PUT_RIGHT_WITHIN_MS
