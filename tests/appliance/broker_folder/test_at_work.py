"""The appliance, and a collector, through a broker that `appliance broker` has set up."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from appliance.broker_folder.client import PLACE
from tests.appliance_process import ApplianceProcess
from tests.secured_broker import SecuredBroker
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.usefixtures("programs")]


SHAPES = """
[[camera]]
name = "scene"
uri = "scene:shapes"

[[pipeline]]
name = "shapes"
source = "scene"
model = "shapes"
"""


def test_the_appliance_works_through_it_and_a_collector_that_was_away_loses_nothing(tmp_path: Path) -> None:
    """`appliance run` with the lines of its `mqtt.toml`: results, a command, a restart of the broker, its will."""
    broker = SecuredBroker(tmp_path / "broker")
    for role, name in (("device", "box"), ("collector", "store"), ("operator", "boss")):
        broker.add(role, name)
    lines = (broker.of("box") / "mqtt.toml").read_text().replace(PLACE, str(broker.of("box")))
    config = f"{lines}\n{SHAPES}"
    with broker, broker.client("boss") as boss:
        with broker.client("store", client_id="store", session_s=600) as store:
            store.subscribe("appliance/+/pipeline/+/event", qos=1)
        boss.subscribe("#")
        with ApplianceProcess(tmp_path, config) as appliance:
            until(lambda: "appliance/box/pipeline/shapes/event" in boss.topics(), 30, "events")
            until(lambda: "appliance/box/pipeline/shapes/result" in boss.topics(), 10, "results")
            assert boss.publish("appliance/box/pipeline/shapes/set", b'{"threshold": 0.5}') == 0
            until(lambda: b'"threshold":0.5' in boss.last("appliance/box/pipeline/shapes/state"), 10, "the state")
            broker.restart()
            until(lambda: boss.client.is_connected() and bool(boss.subscribe("#")), 30)
            so_far = len(boss.heard)
            until(lambda: "appliance/box/pipeline/shapes/event" in [topic for topic, _ in boss.heard[so_far:]], 30)
            appliance.send(signal.SIGKILL)
            until(lambda: ("appliance/box/available", b"offline") in boss.heard, 20, "the will")
            assert "does not let us" not in appliance.log
        with broker.client("store", client_id="store", session_s=600) as store:
            until(lambda: len(store.heard) >= 2)
            store.topics()
            numbers = [json.loads(payload)["spool"]["seq"] for _, payload in store.heard]
            assert sorted(set(numbers)) == list(range(1, max(numbers) + 1))
