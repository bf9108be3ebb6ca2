"""Goals G8 and G9: resets, half-open and slow connections, dead lines: nothing lost, nothing out of order."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.scene import Scene
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.tcp_faults import FaultyProxy
from tests.uplinks import Listener, Running, connected, settings, spool
from tests.waiting import until

RATE_HZ = 400.0


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_a_bad_network_costs_time_but_no_event_and_no_order(broker: Broker, tmp_path: Path, long_run: bool) -> None:
    times, seed = (5 if long_run else 1), 17
    chance = random.Random(seed)
    scene = Scene(tmp_path)
    pause = threading.Event()
    started_s = time.monotonic()
    resets, slow_closes, half_opens, events = 20 * times, 4 * times, 4 * times, 5000 * times
    with FaultyProxy(broker.port) as proxy, scene.receiving(broker.port):
        wanted = settings(proxy.url, tmp_path)
        with scene.generating(settings=wanted, first=0, count=events, rate_hz=RATE_HZ):
            faults = ["reset"] * resets + ["close"] * slow_closes + ["half open"] * half_opens
            chance.shuffle(faults)
            for fault in faults:
                proxy.delay_s = chance.choice((0.0, 0.0, 0.02, 0.1, 0.5))
                proxy.bytes_per_s = chance.choice((0.0, 0.0, 0.0, 50_000.0))
                proxy.slice_bytes = chance.choice((0, 0, 100))
                pause.wait(chance.uniform(0.05, 0.6))
                if fault == "reset":
                    proxy.reset()
                elif fault == "close":
                    proxy.close_slowly(chance.uniform(0.0, 0.3))
                else:
                    proxy.stalled = True
                    pause.wait(chance.uniform(0.1, 0.4))
                    proxy.reset()
                    proxy.stalled = False
            proxy.delay_s, proxy.bytes_per_s, proxy.slice_bytes = 0.0, 0.0, 0
            scene.wait_accepted(events, 60)
            scene.wait_received(60)
        connections = proxy.connections
    report = scene.report()
    seconds = round(time.monotonic() - started_s, 1)
    counts = {"resets": resets, "slow_closes": slow_closes, "half_opens": half_opens}
    tell("G8 bad network", report, faults=len(faults), **counts, connections=connections, seconds=seconds, seed=seed)
    assert report.lost == report.out_of_order == report.conflicts == report.unidentified == 0


@contextmanager
def silent_line(port: int) -> Iterator[None]:
    """Packets to and from the broker vanish, as when a cable is pulled somewhere on the way."""
    rules = [["INPUT", "-i", "lo", "-p", "tcp", way, str(port), "-j", "DROP"] for way in ("--dport", "--sport")]
    for rule in rules:
        subprocess.run(["iptables", "-I", *rule], check=True)
    try:
        yield
    finally:
        for rule in rules:
            subprocess.run(["iptables", "-D", *rule], check=True)


@pytest.mark.faults
@pytest.mark.parametrize(("publishing", "within_s"), [(True, 6.0), (False, 12.0)], ids=["publishing", "idle"])
def test_a_dead_line_is_noticed_in_seconds(broker: Broker, tmp_path: Path, publishing: bool, within_s: float) -> None:
    if os.geteuid() != 0 or subprocess.run(["iptables", "-L", "-n"], check=False, capture_output=True).returncode != 0:
        pytest.skip("dropping packets needs root and iptables")
    with Listener(broker.port) as listener, Running(settings(broker.url, tmp_path)) as uplink:
        connected(uplink)
        uplink.mailbox.put(spool(0))
        until(lambda: listener.numbers() == [0])
        with silent_line(broker.port):
            started_s = time.monotonic()
            if publishing:
                uplink.mailbox.put(spool(1))
            until(lambda: not uplink.figures().connected, within_s + 2.0)
            noticed_s = time.monotonic() - started_s
        repaired_s = time.monotonic()
        connected(uplink, 15.0)
        reconnected_s = time.monotonic() - repaired_s
    figures = {"noticed_s": round(noticed_s, 1), "reconnected_s": round(reconnected_s, 1)}
    tell("G9 dead line", None, lines=1, publishing=publishing, **figures)
    assert noticed_s <= within_s
    assert reconnected_s <= 5.0
