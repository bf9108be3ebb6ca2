"""Goal G29: everything that can be harmed is harmed in turn, and after it all is there and nothing has grown."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.nemesis import DEEDS, Grounds, torment
from tests.chaos.scene import Scene
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.disks import small_disk
from tests.faults.test_outage import broker_pid, memory_mib
from tests.tcp_faults import FaultyProxy
from tests.uplinks import settings

pytestmark = [pytest.mark.faults, pytest.mark.timeout(5000)]

RATE_HZ = 100.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 16 << 20) as folder:
        yield folder


def count(pid: int, what: str) -> int:
    """`fd`: open files; `task`: threads."""
    return len(list(Path(f"/proc/{pid}/{what}").iterdir()))


def test_under_every_harm_in_turn_nothing_is_lost_and_nothing_grows(
    broker: Broker, disk: Path, tmp_path: Path, long_run: bool
) -> None:
    deeds, every_s, most_s = (180, 20.0, 10.0) if long_run else (len(DEEDS), 1.5, 1.2)
    seed, events = 31, int(RATE_HZ * (deeds + 1) * every_s)
    scene = Scene(tmp_path)
    started_s = time.monotonic()
    with FaultyProxy(broker.port) as line, scene.receiving(broker.port):
        wanted = settings(line.url, disk)
        with scene.generating(settings=wanted, first=0, count=events, rate_hz=RATE_HZ) as daemon:
            assert daemon.pid is not None
            scene.wait_accepted(100, 30)
            scene.wait_some_received(30)
            before_mib, before = memory_mib(daemon), {what: count(daemon.pid, what) for what in ("fd", "task")}
            grounds = Grounds(broker, lambda: int(broker_pid(tmp_path)), line, daemon.pid, disk)
            done = torment(grounds, random.Random(seed), deeds=deeds, every_s=every_s, most_s=most_s)
            scene.wait_accepted(events, 120)
            scene.wait_received(120)
            grown_mib = memory_mib(daemon) - before_mib
            more = {what: count(daemon.pid, what) - at_first for what, at_first in before.items()}
    report = scene.report()
    seconds = time.monotonic() - started_s
    figures = {"grown_mib": round(grown_mib, 1), "more_handles": more["fd"], "more_threads": more["task"]}
    tell("G29 torment", report, deeds=sum(done.values()), done=dict(done), **figures, seconds=round(seconds), seed=seed)
    assert report.lost == report.out_of_order == report.conflicts == report.unidentified == 0
    assert figures["more_handles"] <= 2
    assert figures["more_threads"] <= 1
    assert grown_mib <= (10.0 if long_run else 20.0)
