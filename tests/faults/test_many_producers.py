"""Goal G12, second half: many threads hand over at once, others look on, messages come in, and nothing ever waits."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from appliance.uplink.outgoing import Publish
from appliance.uplink.uplink import Uplink
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.uplinks import TOPICS, Listener, Running, connected, settings, spool
from tests.waiting import until

PRODUCERS = 4


class Producer(threading.Thread):
    """One engine: a live result and an event at a time, 100 times a second."""

    def __init__(self, uplink: Uplink, stream: str, until_s: float) -> None:
        super().__init__(name=stream)
        self.handed_over = 0
        self.took_us: list[float] = []
        self._uplink = uplink
        self._until_s = until_s

    def run(self) -> None:
        pause = threading.Event()
        while time.monotonic() < self._until_s:
            items = (Publish(TOPICS.result(self.name), {"n": self.handed_over}), spool(self.handed_over, self.name))
            started_ns = time.perf_counter_ns()
            for item in items:
                self._uplink.mailbox.put(item)
            self.took_us.append((time.perf_counter_ns() - started_ns) / 2000)
            self.handed_over += 1
            pause.wait(0.01)


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_four_engines_hand_over_while_others_look_on_and_nothing_stops(
    broker: Broker, tmp_path: Path, long_run: bool
) -> None:
    wanted = settings(broker.url, tmp_path, subscriptions=(TOPICS.every_set,))
    with Listener(broker.port, TOPICS.event("+")) as listener, Running(wanted) as uplink:
        connected(uplink)
        producing_s = 600.0 if long_run else 5.0
        until_s = time.monotonic() + producing_s
        producers = [Producer(uplink, f"engine-{n}", until_s) for n in range(PRODUCERS)]
        for producer in producers:
            producer.start()
        read = 0
        while time.monotonic() < until_s:
            listener.publish(f"{TOPICS.root}/source/dock/set", b"{}")
            read += len(uplink.incoming.take_all(timeout_s=0.1))
            assert not uplink.stuck(time.monotonic_ns())
        for producer in producers:
            producer.join(10)
        handed_over = sum(producer.handed_over for producer in producers)
        until(lambda: len(listener.messages) >= handed_over, 60)
        assert len(listener.messages) == handed_over
        for producer in producers:
            assert listener.numbers(producer.name) == list(range(producer.handed_over))
        assert uplink.figures().connects == 1
        assert read > 0
    took_us = sorted(took for producer in producers for took in producer.took_us)
    tell(
        "G12 many producers",
        None,
        lost=0,
        producing_s=producing_s,
        events=len(took_us),
        handed_over_us_p50=round(took_us[len(took_us) // 2], 1),
        handed_over_us_p99=round(took_us[int(len(took_us) * 0.99)], 1),
    )
