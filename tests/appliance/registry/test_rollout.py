"""A version for a hundred devices, and when it stops."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from click.testing import CliRunner, Result
from paho.mqtt.enums import CallbackAPIVersion

from appliance.cli import main
from appliance.registry.rollout import Course, Plan, Rollout
from appliance.sync.published import Reference
from tests.conftest import Broker
from tests.registries import Owner, as_version, shipped

pytestmark = pytest.mark.system

REFERENCE = Reference("shapes", "2")
NAMES = [f"box-{number}" for number in range(100)]


def plan(**changes: Any) -> Plan:
    return replace(Plan(REFERENCE, (0.05, 0.25, 1.0), success=0.9, error=0.1, patience_s=100.0), **changes)


def test_each_stage_waits_for_the_one_before() -> None:
    rollout = Rollout(NAMES, plan(), 0.0)
    sizes = []
    while rollout.course is Course.GOING:
        told = rollout.tell(1.0)
        sizes.append(len(told))
        assert rollout.tell(1.0) == [], "nobody more before these have kept it"
        for device in told:
            rollout.kept(device)
    assert [size for size in sizes if size] == [5, 20, 75]
    assert rollout.course is Course.DONE


def test_one_bad_device_of_the_first_five_stops_it() -> None:
    rollout = Rollout(NAMES, plan(), 0.0)
    first = rollout.tell(0.0)
    for device in first[1:]:
        rollout.kept(device)
    rollout.returned(first[0], f"{first[0]}: too slow")
    assert rollout.tell(1.0) == []
    assert rollout.course is Course.STOPPED
    assert "1 of 5 devices have returned it" in rollout.reason
    assert len(rollout.told) == 5


def test_as_many_bad_ones_as_are_allowed_do_not_stop_it() -> None:
    rollout = Rollout(NAMES, plan(error=0.2, success=0.8), 0.0)
    first = rollout.tell(0.0)
    rollout.returned(first[0], "bad luck")
    for device in first[1:]:
        rollout.kept(device)
    assert len(rollout.tell(1.0)) == 20


def test_a_stage_that_does_not_come_to_an_end_stops_it() -> None:
    rollout = Rollout(NAMES, plan(), 0.0)
    rollout.tell(0.0)
    assert rollout.tell(99.0) == []
    assert rollout.reason == ""
    rollout.tell(101.0)
    assert rollout.course is Course.STOPPED
    assert "5 of 5 devices did not come to an end" in rollout.reason


def test_the_order_is_the_same_at_every_look_and_another_for_another_version() -> None:
    orders = [Rollout(names, plan(shares=(1.0,)), 0.0).tell(0.0) for names in (NAMES, NAMES[::-1])]
    assert orders[0] == orders[1]
    other = Plan(Reference("shapes", "3"), (1.0,), 0.9, 0.1, 100.0)
    assert Rollout(NAMES, other, 0.0).tell(0.0) != orders[0]


# -- a hundred devices on a broker --------------------------------------------------------------------------------


class Devices:
    """Report what they run, and do what is desired; some versions do not hold on some of them."""

    def __init__(self, broker: Broker, holds: Callable[[str], bool]) -> None:
        self.asked: dict[str, dict[str, Any]] = {}
        self._holds = holds
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = self._on_message
        self._subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        self._client.subscribe("appliance/+/models/desired", qos=1)
        assert self._subscribed.wait(10)
        for name in NAMES:
            self._report(name, 0, "1", "kept", "1")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _report(self, device: str, n: int, version: str, state: str, active: str) -> None:
        model = {
            "active": active,
            "version": version,
            "state": state,
            "reason": "" if active == version else "bad here",
        }
        report = {"type": "models", "n": n, "models": {"shapes": model}, "errors": {}}
        self._client.publish(f"appliance/{device}/models/reported", json.dumps(report), qos=1, retain=True)

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        device = message.topic.split("/")[1]
        document = json.loads(message.payload)
        self.asked[device] = document
        holds = self._holds(device)
        version = document["models"]["shapes"]["version"]
        self._report(device, document["n"], version, "kept" if holds else "returned", version if holds else "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    owner = Owner(tmp_path / "registry")
    owner.publish(as_version(shipped("shapes"), "2", tmp_path / "bundles"))
    return owner.folder


@pytest.fixture
def devices(broker: Broker) -> Iterator[Callable[[Callable[[str], bool]], Devices]]:
    made: list[Devices] = []

    def make(holds: Callable[[str], bool]) -> Devices:
        made.append(Devices(broker, holds))
        return made[-1]

    yield make
    for each in made:
        each.close()


def rolled_out(folder: Path, broker: Broker, *more: str) -> Result:
    return CliRunner().invoke(main, ["registry", "rollout", str(folder), "shapes@2", "--broker", broker.url, *more])


@pytest.mark.broker
def test_a_good_version_reaches_all_devices(
    folder: Path, broker: Broker, devices: Callable[[Callable[[str], bool]], Devices]
) -> None:
    fleet = devices(lambda _name: True)
    done = rolled_out(folder, broker)
    assert done.exit_code == 0, done.output
    assert "shapes@2: 100 of 100 devices have kept it" in done.output
    assert set(fleet.asked) == set(NAMES)
    assert {document["n"] for document in fleet.asked.values()} == {1}


@pytest.mark.broker
def test_a_group_is_named_device_by_device(
    folder: Path, broker: Broker, devices: Callable[[Callable[[str], bool]], Devices]
) -> None:
    fleet = devices(lambda _name: True)
    done = rolled_out(folder, broker, "--device", "box-3", "--device", "box-4", "--shares", "50,100")
    assert "2 of 2 devices have kept it" in done.output
    assert set(fleet.asked) == {"box-3", "box-4"}


@pytest.mark.broker
def test_what_is_not_published_is_not_rolled_out(folder: Path, broker: Broker) -> None:
    done = CliRunner().invoke(main, ["registry", "rollout", str(folder), "shapes@9", "--broker", broker.url])
    assert done.exit_code == 2
    assert "not published" in done.output
