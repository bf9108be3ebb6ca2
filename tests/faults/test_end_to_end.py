"""A collector behind the broker confirms what it has; only then the appliance forgets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chaos.scene import Scene, at_work
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.uplinks import TOPICS, Listener, Running, connected, settings, spool
from tests.waiting import until


@pytest.mark.faults
def test_what_the_broker_acknowledged_and_threw_away_arrives_all_the_same(
    new_broker: type[Broker], tmp_path: Path
) -> None:
    """A queue of 100 and a collector that was away: mosquitto answers 0x00 to everything and keeps a tenth."""
    events = 900
    broker = new_broker(tmp_path, "max_queued_messages 100")
    scene = Scene(tmp_path)
    wanted = settings(broker.url, tmp_path, acknowledge="end-to-end")
    with at_work(broker):
        with scene.receiving(broker.port, confirms=True, session_s=3600):
            pass  # now the broker knows the collector and queues for it
        with scene.generating(settings=wanted, first=0, count=events, rate_hz=20_000.0):
            scene.wait_accepted(events, 10)
            until(lambda: b"being dropped" in (tmp_path / "mosquitto.log").read_bytes(), 10, "the broker drops")
            with scene.receiving(broker.port, confirms=True, session_s=3600):
                scene.wait_received(60)
    report = scene.report()
    tell("end to end over a forgetful broker", report)
    assert report.lost == report.conflicts == report.unidentified == 0


@pytest.mark.faults
@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"17",
        b"not JSON",
        b"[" * 100_000,
        b'{"epoch": "{epoch}"}',
        b'{"epoch": "000000000000", "seq": 50}',
        b'{"epoch": "{epoch}", "seq": 51}',
        b'{"epoch": "{epoch}", "seq": -1}',
        b'{"epoch": "{epoch}", "seq": 1e300}',
        b'{"epoch": "{epoch}", "seq": true}',
        b'{"epoch": ["{epoch}"], "seq": 50}',
        b"\xff\xfe",
    ],
)
def test_nonsense_on_the_confirmation_topic_confirms_nothing(broker: Broker, tmp_path: Path, payload: bytes) -> None:
    wanted = settings(broker.url, tmp_path, acknowledge="end-to-end")
    with Listener(broker.port) as listener, Running(wanted) as uplink:
        connected(uplink)
        for number in range(50):
            uplink.mailbox.put(spool(number))
        until(lambda: len(listener.numbers()) == 50)
        epoch = listener.events()[0]["spool"]["epoch"]
        topic = TOPICS.acknowledged("people")
        listener.publish(topic, payload.replace(b"{epoch}", epoch.encode()), retain=True)
        listener.publish(topic, json.dumps({"epoch": epoch, "seq": 20}).encode(), retain=True)
        until(lambda: uplink.figures().sent == 20, what="the good one counts")
        assert uplink.figures().stored == 30
        assert uplink.figures().connects == 1


@pytest.mark.faults
def test_a_confirmation_kept_by_the_broker_is_used_after_a_restart(broker: Broker, tmp_path: Path) -> None:
    wanted = settings(broker.url, tmp_path, acknowledge="end-to-end")
    with Listener(broker.port) as listener:
        with Running(wanted) as uplink:
            for number in range(50):
                uplink.mailbox.put(spool(number))
            until(lambda: len(listener.numbers()) == 50)
        epoch = listener.events()[0]["spool"]["epoch"]
        listener.publish(TOPICS.acknowledged("people"), json.dumps({"epoch": epoch, "seq": 40}).encode(), retain=True)
        with Running(wanted) as uplink:
            until(lambda: uplink.figures().sent == 40)
            until(lambda: uplink.figures().stored == 10)
