"""A bad model is rolled out to a hundred devices: it stops by itself once more have returned it than may."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from click.testing import CliRunner
from paho.mqtt.enums import CallbackAPIVersion

from appliance.cli import main
from appliance.mailbox import Mailbox
from appliance.registry.rollout import Plan, Rollout
from appliance.sync.carrier import Carrier
from appliance.sync.http_carrier import HttpCarrier
from appliance.sync.ledger import Job
from appliance.sync.machine import Machine, Tools
from appliance.sync.published import Reference
from appliance.sync.states import RESTING, TRIED, State
from appliance.sync.wishes import Wishes
from tests.appliance.sync.machines import machine, tools
from tests.appliance.sync.world import Hands, served_http
from tests.bad_models import nan, spoiled
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.registries import Owner, as_version, shipped
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.system, pytest.mark.timeout(1800)]

DEVICES = 100
FAILED = 5
"""So many are waited for; more go on."""
ERROR = 0.1


class Device:
    """The product's own wishes, fetching, trials and files, and a connection of its own; no camera, so that a version
    is active once it was tried, and `holds` says what its probation comes to."""

    def __init__(self, name: str, folder: Path, made: Tools, port: int, holds: bool, due: Mailbox[Device]) -> None:
        self.name = name
        self.holds = holds
        self._folder, self._made, self._due = folder, made, due
        self._wishes = Wishes()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, client_id=name)
        self._client.on_connect = lambda client, *_: client.subscribe(f"appliance/{name}/models/desired", qos=1)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def active(self) -> str | None:
        with machine(self._folder, self._made) as at_work:
            return at_work.slots.active_version("shapes")

    def turn(self) -> None:
        """Hear, and carry what is wanted as far as it comes."""
        with machine(self._folder, self._made) as at_work:
            self._report(at_work)
            while (job := at_work.ledger.job("shapes")) is not None and (job.state not in RESTING or _waits(job)):
                self._carry(at_work, job)
            self._report(at_work)

    def _report(self, at_work: Machine) -> None:
        self._wishes.turn(at_work, may_begin=True, used=("shapes",))
        for report in self._wishes.reports.take_all(0):
            self._client.publish(f"appliance/{self.name}/models/reported", json.dumps(report), qos=1, retain=True)

    def _carry(self, at_work: Machine, job: Job) -> None:
        if job.state in TRIED:
            at_work.advance(job)
        elif job.state is State.READY:
            at_work.ledger.move(job, State.ACTIVATE)
        elif job.state is State.ACTIVATE:
            at_work.activation.activate(job)
        elif self.holds:
            at_work.activation.keep(job)
        else:
            at_work.activation.give_back(job, "it does not see anything here", deny=True)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._wishes.desire(bytes(message.payload))
        self._due.put(self)


def _waits(job: Job) -> bool:
    return job.state is State.READY and job.activate


@contextmanager
def at_work(folder: Path, anchor: bytes, url: str, port: int, holds: frozenset[str]) -> Iterator[dict[str, Device]]:
    """All of them, each once it has reported; those that are told something are turned one after the other. `holds`:
    where the version holds on probation."""
    folder.mkdir()
    (folder / "root.json").write_bytes(anchor)
    due: Mailbox[Device] = Mailbox(10 * DEVICES)
    made = replace(tools(url, folder / "root.json"), slower=500.0)
    devices = [Device(name, folder / name, made, port, name in holds, due) for name in in_order()]
    stopping = threading.Event()

    def turn() -> None:
        while not stopping.is_set():
            for device in due.take_all(0.2):
                if not stopping.is_set():
                    device.turn()

    thread = threading.Thread(target=turn)
    try:
        for device in devices:
            device.turn()
        thread.start()
        yield {device.name: device for device in devices}
    finally:
        stopping.set()
        if thread.is_alive():
            thread.join()
        for device in devices:
            device.close()


@contextmanager
def listening(port: int) -> Iterator[dict[str, dict[str, bytes]]]:
    """What the broker has: by last level of its topic and by device."""
    heard: dict[str, dict[str, bytes]] = {"desired": {}, "reported": {}}

    def on_message(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        _, device, _, leaf = message.topic.split("/")
        heard[leaf][device] = bytes(message.payload)

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda client, *_: client.subscribe("appliance/+/models/+", qos=1)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


def returned(reports: Mapping[str, bytes]) -> set[str]:
    """Devices that say so."""
    states = {name: json.loads(report)["models"]["shapes"]["state"] for name, report in reports.items()}
    return {name for name, state in states.items() if state == State.RETURNED.value}


def url_of(carrier: Carrier) -> str:
    assert isinstance(carrier, HttpCarrier)
    return carrier.url


def in_order() -> list[str]:
    """As they are asked."""
    plan = Plan(Reference("shapes", "2"), (1.0,), success=0.9, error=ERROR, patience_s=1.0)
    return Rollout([f"box-{number}" for number in range(DEVICES)], plan, 0.0).tell(0.0)


def rolled_out(owner: Owner, broker: Broker, holds: frozenset[str], folder: Path) -> tuple[str, dict[str, object]]:
    """What the command said, and how many devices had to do with it."""
    with (
        served_http(Hands(owner.folder)) as carrier,
        listening(broker.port) as heard,
        at_work(folder, owner.anchor, url_of(carrier()), broker.port, holds) as devices,
    ):
        until(lambda: len(heard["reported"]) == DEVICES, 60, "all have reported")
        began_s = time.monotonic()
        words = ["registry", "rollout", str(owner.folder), "shapes@2", "--broker", broker.url, "--error", str(ERROR)]
        done = CliRunner().invoke(main, words)
        seconds = round(time.monotonic() - began_s, 1)
        assert done.exit_code == 1, done.output
        until(lambda: len(returned(heard["reported"])) >= FAILED, 600, "those that are at it go on by themselves")
        failed, asked = returned(heard["reported"]), set(heard["desired"])
        assert failed <= asked
        assert all(devices[name].active() == "1" for name in failed)
        assert all(devices[name].active() == "2" for name in holds)
    figures = {"asked": len(asked), "failed": len(failed), "never_asked": DEVICES - len(asked)}
    return done.output, {"devices": DEVICES, **figures, "seconds": seconds}


def test_a_bad_model_stops_by_itself_after_the_first_five_of_a_hundred_devices(broker: Broker, tmp_path: Path) -> None:
    owner = Owner(tmp_path / "registry")
    owner.publish(spoiled(tmp_path / "bad", nan))
    said, figures = rolled_out(owner, broker, frozenset(), tmp_path / "devices")
    tell("G34 bad everywhere", None, **figures)
    assert "stopped after 5 of 100 devices" in said
    assert "NaN" in said
    assert (figures["asked"], figures["never_asked"]) == (5, 95)


@pytest.mark.long
def test_a_model_that_is_bad_for_most_stops_in_the_second_stage(broker: Broker, tmp_path: Path) -> None:
    """It suits the five that are asked first, and nobody else."""
    owner = Owner(tmp_path / "registry")
    owner.publish(as_version(shipped("shapes"), "2", tmp_path / "bundles"))
    said, figures = rolled_out(owner, broker, frozenset(in_order()[:5]), tmp_path / "devices")
    tell("G34 bad elsewhere", None, **figures)
    assert "stopped after 25 of 100 devices" in said
    assert "it does not see anything here" in said
    assert (figures["asked"], figures["never_asked"]) == (25, 75)
