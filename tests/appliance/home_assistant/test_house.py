"""A real Home Assistant, broker and appliance: it finds everything, follows it, and forgets what goes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.sync.http_carrier import HttpCarrier
from tests.appliance.sync.world import Hands, served_http
from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import REPOSITORY, Broker, free_port
from tests.registries import Owner, as_version, noise, shipped
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.peer, pytest.mark.timeout(300)]

PYTHON = Path(os.environ.get("APPLIANCE_HOUSE_PYTHON", REPOSITORY / ".venv-house" / "bin" / "python"))
MOVES_IN_WITHIN_S = 120.0
FOLLOWS_WITHIN_S = 15.0

DOCK = """
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 5
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
snapshot = true
labels = ["red", "green", "blue"]
"""
YARD = """
[[camera]]
name = "yard.2"
uri = "scene:shapes"
fps = 2
[[pipeline]]
name = "yard"
source = "yard.2"
model = "shapes"
"""
MODELS = """
[models]
registry = "{url}"
root = "{root}"
look_s = 1.0
bandwidth_kb_s = 600
shadow_s = 2.0
shadow_samples = 10
probation_s = 2.0
slower = 500
"""


class House:
    """The process of house_core.py, asked one thing at a time."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        core = Path(__file__).parent / "house_core.py"
        self._log = folder / "house.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(PYTHON), str(core), str(folder), str(broker_port), str(free_port())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
            )
        assert self._line() == "moved in"

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _line(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log[-4000:]
        return json.loads(line)

    def ask(self, question: str, **more: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"ask": question, **more}) + "\n")
        self.process.stdin.flush()
        return self._line()

    def call(self, domain: str, service: str, **data: Any) -> None:
        assert self.ask("call", domain=domain, service=service, data=data) == "done"

    def leave(self) -> None:
        """Its orderly end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)

    @property
    def devices(self) -> dict[str, str | None]:
        """Ours: name, and that of the device it is reached through."""
        return {name: via for name, via in self.ask("house")["devices"].items() if name.startswith("box")}

    @property
    def states(self) -> dict[str, str | None]:
        entities = self.ask("house")["entities"]
        return {key: entity["state"] for key, entity in entities.items() if (entity["device"] or "").startswith("box")}

    def state(self, entity: str) -> str | None:
        return self.states.get(entity)

    def awaits(self, entity: str, *wanted: str | None) -> None:
        until(
            lambda: self.state(entity) in wanted, FOLLOWS_WITHIN_S, f"{entity} is {wanted}; it is {self.state(entity)}"
        )


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if not PYTHON.exists():
        pytest.skip("needs Home Assistant in .venv-house: see setup_house in scripts/setup.sh")
    broker = Broker(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(scope="module")
def ear(broker: Broker) -> Iterator[Ear]:
    with Ear(broker.port) as ear:
        yield ear


def automation() -> str:
    """That of docs/home-assistant.md, about a shape in place of a person."""
    page = (REPOSITORY / "docs" / "home-assistant.md").read_text(encoding="utf-8")
    found = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert len(found) == 1
    assert "dock_1_dock_people_person" in found[0]
    return str(found[0]).replace("dock_1_dock_people_person", "box_dock_shapes_red")


@pytest.fixture(scope="module")
def house(broker: Broker, ear: Ear, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    (folder / "automation.yaml").write_text(automation(), encoding="utf-8")
    house = House(folder, broker.port)
    with house.process:
        try:
            yield house
            house.leave()
        finally:
            house.process.kill()
    words = [line for line in house.log.splitlines() if "mqtt" in line.lower() or "template" in line.lower()]
    assert words == [], "Home Assistant complains of what it was told"


@pytest.fixture
def appliance(broker: Broker, ear: Ear, house: House, tmp_path: Path) -> Iterator[ApplianceProcess]:
    since_s = time.monotonic()
    with ApplianceProcess(tmp_path, config(broker, DOCK + YARD)) as appliance:
        until(lambda: ear.payloads("appliance__pipeline__yard/config", since_s), 30)
        ear.await_payload("source/yard.2/available", b"online", since_s, within_s=30)
        house.awaits("binary_sensor.box_yard_2_connected", "on")
        house.awaits("sensor.box_status", "ok")
        yield appliance


def config(broker: Broker, rest: str, discovery: str = "true") -> str:
    return f'[mqtt]\nbroker = "{broker.url}"\n[home_assistant]\ndiscovery = {discovery}\n{rest}'


def test_entities_are_there_and_their_states_follow(appliance: ApplianceProcess, ear: Ear, house: House) -> None:
    assert house.devices == {"box": None, "box dock": "box", "box yard.2": "box"}
    house.awaits("sensor.box_status", "ok")
    house.awaits("sensor.box_dock_shapes_engine", "onnxruntime")
    until(lambda: "." in (house.state("sensor.box_dock_shapes_latency") or ""), 45)  # told every half minute
    for label in ("red", "green", "blue"):
        until(lambda label=label: counts_agree(ear, house, label), 30)  # type: ignore[misc]
    house.awaits("switch.box_dock_shapes_enabled", "on")
    until(lambda: (house.state("event.box_dock_shapes_event") or "").startswith("20"), FOLLOWS_WITHIN_S)
    until(lambda: (house.state("image.box_dock_shapes_snapshot") or "").startswith("20"), FOLLOWS_WITHIN_S)
    assert house.ask("image", entity="image.box_dock_shapes_snapshot")["start"] == "ffd8ff"


def counts_agree(ear: Ear, house: House, label: str) -> bool:
    told = ear.documents(f"pipeline/shapes/count/{label}")[-1]["count"]
    states = house.states
    count = states.get(f"sensor.box_dock_shapes_{label}_count")
    occupied = states.get(f"binary_sensor.box_dock_shapes_{label}")
    return (count, occupied) == (str(told), "on" if told else "off")


@pytest.mark.usefixtures("appliance")
def test_the_automation_of_the_page_is_carried_out(house: House) -> None:
    notes = len(house.ask("notes"))
    until(lambda: len(house.ask("notes")) > notes, 60)
    assert house.ask("notes")[-1] == "Somebody is at the dock"


def test_its_switches_and_numbers_command_the_appliance(appliance: ApplianceProcess, ear: Ear, house: House) -> None:
    since_s = time.monotonic()
    house.call("number", "set_value", entity_id="number.box_dock_shapes_threshold", value=0.7)
    ear.await_document("pipeline/shapes/state", since_s, threshold=0.7)
    house.awaits("number.box_dock_shapes_threshold", "0.7")
    house.call("switch", "turn_off", entity_id="switch.box_dock_enabled")
    ear.await_payload("source/dock/available", b"disabled", since_s)
    house.awaits("switch.box_dock_enabled", "off")
    house.awaits("binary_sensor.box_dock_connected", "off")
    house.awaits("binary_sensor.box_dock_shapes_red", "unavailable")
    house.call("switch", "turn_on", entity_id="switch.box_dock_enabled")
    house.awaits("binary_sensor.box_dock_shapes_red", "on", "off")
    house.call("switch", "turn_off", entity_id="switch.box_yard_2_yard_enabled")
    house.awaits("event.box_yard_2_yard_event", "unavailable")
    since_s = time.monotonic()
    house.call("button", "press", entity_id="button.box_dock_shapes_snapshot_now")
    ear.await_document("response/snapshot", since_s, status="ok")
    assert ear.payloads("response/set", since_s) == []


def test_a_camera_that_is_removed_takes_its_entities_and_its_device_with_it(
    appliance: ApplianceProcess, broker: Broker, house: House
) -> None:
    assert "switch.box_yard_2_enabled" in house.states
    appliance.write(config(broker, DOCK))
    appliance.send(signal.SIGHUP)
    until(lambda: house.devices == {"box": None, "box dock": "box"}, FOLLOWS_WITHIN_S)
    assert [entity for entity in house.states if "yard" in entity] == []
    assert house.state("binary_sensor.box_dock_shapes_red") is not None


def test_what_went_while_the_appliance_was_down_is_forgotten_once_it_is_back(
    appliance: ApplianceProcess, broker: Broker, house: House
) -> None:
    until(lambda: "box yard.2" in house.devices, FOLLOWS_WITHIN_S)
    before = {entity for entity in house.states if "shapes" in entity}
    appliance.send(signal.SIGKILL)
    appliance.ends()
    house.awaits("sensor.box_status", "unavailable")
    appliance.write(config(broker, DOCK.replace("snapshot = true", "snapshot = false")))
    appliance.start()
    until(lambda: house.devices == {"box": None, "box dock": "box"}, FOLLOWS_WITHIN_S)
    until(lambda: before - set(house.states) == {"image.box_dock_shapes_snapshot"}, FOLLOWS_WITHIN_S)
    house.awaits("sensor.box_status", "ok")


def test_it_is_told_again_when_it_starts(appliance: ApplianceProcess, ear: Ear, house: House) -> None:
    since_s = time.monotonic()
    ear.forge("homeassistant/status", b"online")
    for thing in ("device", "source__dock", "source__yard_2e2", "pipeline__shapes", "pipeline__yard"):
        until(lambda thing=thing: ear.payloads(f"device/box/appliance__{thing}/config", since_s))  # type: ignore[misc]


def update(house: House) -> dict[str, Any]:
    """The entity of the shapes model, with its state among its attributes."""
    entity = house.ask("house")["entities"].get("update.box_model_shapes")
    return {} if entity is None else {"state": entity["state"], **entity["attributes"]}


def test_a_models_new_version_is_offered_installed_and_followed_to_its_end(
    appliance: ApplianceProcess, broker: Broker, house: House, tmp_path: Path
) -> None:
    owner = Owner(tmp_path / "registry")
    (tmp_path / "root.json").write_bytes(owner.anchor)
    with served_http(Hands(owner.folder)) as carrier:
        registry = carrier()
        assert isinstance(registry, HttpCarrier)
        appliance.send(signal.SIGTERM)
        assert appliance.ends() == 0
        appliance.write(config(broker, DOCK + MODELS.format(url=registry.url, root=tmp_path / "root.json")))
        appliance.start()
        until(lambda: update(house).get("state") == "unknown" or update(house).get("installed_version") == "1", 40)
        publish(owner, "2", tmp_path, "Sees in the dark.")
        until(lambda: update(house).get("state") == "on", 30)
        offered = update(house)
        assert (offered["installed_version"], offered["latest_version"]) == ("1", "2")
        assert (offered["title"], offered["in_progress"]) == ("model shapes", "False")
        house.call("update", "install", entity_id="update.box_model_shapes")
        until(lambda: 0 < float(update(house)["update_percentage"].replace("None", "0")) < 100, 30)
        assert update(house)["in_progress"] == "True"
        until(lambda: update(house)["installed_version"] == "2" and update(house)["state"] == "off", 90)
        until(lambda: update(house)["release_summary"] == "Sees in the dark.", FOLLOWS_WITHIN_S)
        until(lambda: update(house)["in_progress"] == "False", FOLLOWS_WITHIN_S)
        appliance.send(signal.SIGTERM)
        assert appliance.ends() == 0
    appliance.write(config(broker, DOCK))
    appliance.start()
    until(lambda: update(house) == {}, 40)


def publish(owner: Owner, version: str, folder: Path, notes: str) -> None:
    """Three megabytes, so that fetching takes some seconds."""
    owner.publish(as_version(shipped("shapes"), version, folder / "bundles", noise(3_000_000), notes=notes))


def test_discovery_that_is_turned_off_takes_everything_back(
    appliance: ApplianceProcess, broker: Broker, house: House
) -> None:
    appliance.send(signal.SIGTERM)
    assert appliance.ends() == 0
    house.awaits("sensor.box_status", "unavailable")
    assert "switch.box_dock_enabled" in house.states
    appliance.write(config(broker, DOCK, discovery="false"))
    appliance.start()
    until(lambda: house.states == {} and house.devices == {}, FOLLOWS_WITHIN_S)
    with Ear(broker.port) as newcomer:
        assert newcomer.payloads("/config") == []
