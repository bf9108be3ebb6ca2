"""An MQTT client that means no good, or only means well: the appliance stays up and speaks for nobody else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]

CONFIG = """
[mqtt]
broker = "{url}"
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 10
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
"""
BOX = "appliance/box"


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:
    with Ear(broker.port) as ear:
        yield ear


@pytest.fixture
def appliance(broker: Broker, ear: Ear, tmp_path: Path) -> Iterator[ApplianceProcess]:
    with ApplianceProcess(tmp_path, CONFIG.format(url=broker.url)) as appliance:
        ear.await_document("pipeline/shapes/result", within_s=15)
        yield appliance


def ask(ear: Ear, payload: bytes = b"", response_topic: str | None = None) -> None:
    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's own gap
    if response_topic is not None:
        properties.ResponseTopic = response_topic
    ear.client.publish(f"{BOX}/request/status", payload, qos=1, properties=properties).wait_for_publish(5)


def still_answers(ear: Ear) -> None:
    ear.say(f"{BOX}/request/status", {"transaction": "well?"})
    ear.await_document("response/status", transaction="well?")


def test_a_retained_command_of_yesterday_is_not_obeyed_today(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    for topic, command in {
        "pipeline/shapes/set": {"enabled": False},
        "source/dock/set": {"enabled": False},
        "request/reload": {},
    }.items():
        ear.client.publish(f"{BOX}/{topic}", json.dumps(command), qos=1, retain=True).wait_for_publish(5)
    with ApplianceProcess(tmp_path, CONFIG.format(url=broker.url)) as appliance:
        until(lambda: appliance.log.count("ignored: commands must not be retained") == 3, 15)
        ear.await_document("pipeline/shapes/result", time.monotonic(), status="ok")
        assert ear.documents("pipeline/shapes/state") == [{"enabled": True, "threshold": None, "snapshot": False}]
        assert ear.documents("response/reload") == []
        ear.client.publish(f"{BOX}/pipeline/shapes/set", b"", qos=1, retain=True).wait_for_publish(5)
        still_answers(ear)
        assert ear.documents("response/set") == []


def test_the_state_that_an_earlier_run_left_is_put_right(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    ear.forge(f"{BOX}/source/dock/state", b'{"enabled": false}', retain=True)
    with ApplianceProcess(tmp_path, CONFIG.format(url=broker.url)):
        ear.await_document("source/dock/state", within_s=15, enabled=True)


def test_a_transaction_that_is_no_text_does_not_end_the_appliance(appliance: ApplianceProcess, ear: Ear) -> None:
    ask(ear, b'{"transaction": "\\ud800"}')
    ear.await_document("response/status", status="error")
    still_answers(ear)
    assert appliance.running


def test_the_one_who_asks_wrongly_can_tell_which_question_failed(appliance: ApplianceProcess, ear: Ear) -> None:
    ear.say(f"{BOX}/request/snapshot", {"data": {"pipeline": "none"}, "transaction": 7})
    ear.await_document("response/snapshot", status="error", transaction=7)


NOT_OURS_TO_WRITE = [
    "appliance/box/available",
    "appliance/box/pipeline/shapes/event",
    "appliance/box/pipeline/shapes/set",
    "appliance/box/request/status",
    "appliance/other/available",
    "appliance/other/pipeline/p/set",
    "$share/group/topic",
    "x" * 300,
]


@pytest.mark.parametrize("topic", NOT_OURS_TO_WRITE)
def test_nobody_makes_the_appliance_speak_for_itself_or_another(
    topic: str, appliance: ApplianceProcess, ear: Ear
) -> None:
    ask(ear, b'{"transaction": "here"}', response_topic=topic)
    ear.await_document("box/response/status", transaction="here")
    assert not [payload for payload in ear.payloads(topic) if b'"status":' in payload and b'"here"' in payload]


def test_an_endless_name_is_answered_on_a_short_topic(appliance: ApplianceProcess, ear: Ear) -> None:
    ear.say(f"{BOX}/request/{'y' * 5000}", {})
    ear.await_document("response/unknown", status="error")


def test_ten_thousand_commands_leave_the_last_one_in_force(appliance: ApplianceProcess, ear: Ear) -> None:
    for number in range(10_000):
        ear.client.publish(f"{BOX}/pipeline/shapes/set", json.dumps({"threshold": number % 100 / 100}), qos=0)
    ear.say(f"{BOX}/pipeline/shapes/set", {"threshold": 0.125})
    ear.await_document("pipeline/shapes/state", within_s=30, threshold=0.125)
    assert ear.documents("pipeline/shapes/state")[-1]["threshold"] == 0.125
    ear.await_document("pipeline/shapes/result", time.monotonic(), status="ok")
    assert appliance.running


def test_a_command_of_a_megabyte_is_kept_from_us(appliance: ApplianceProcess, ear: Ear) -> None:
    ask(ear, b" " * (1 << 20))
    still_answers(ear)
    assert appliance.running
