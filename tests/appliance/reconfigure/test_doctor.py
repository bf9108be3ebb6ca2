"""The doctor judges the configuration that is in force, and says which one that is, since when and from whom."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from appliance.config_doctor import configuration
from appliance.doctor import examine
from appliance.finding import Finding
from appliance.reconfigure.store import HISTORY, RETURNED
from appliance.registry.configurations import revoke_configuration
from appliance.sync.ledger import Ledger
from appliance.sync.published import Reference
from tests.appliance.reconfigure.conftest import pipeline
from tests.appliance.reconfigure.simulated import SICK, SimulatedDevice, camera, document, publish
from tests.registries import Owner


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    owner = Owner(tmp_path / "registry")
    publish(owner, tmp_path, "one@1", camera(11))
    publish(owner, tmp_path, "two@1", camera(12) + pipeline("p").replace("shapes", "nowhere"))
    publish(owner, tmp_path, "sick@1", SICK + camera(13))
    return owner


@pytest.fixture
def device(tmp_path: Path, owner: Owner) -> Iterator[SimulatedDevice]:
    made = SimulatedDevice(tmp_path / "device", owner.folder, owner.anchor)
    yield made
    made.end()


def wish(device: SimulatedDevice, n: int, name: str, turns: int = 20) -> None:
    device.desire(document(n, name))
    for _ in range(turns):
        device.turn()


def told(device: SimulatedDevice) -> list[Finding]:
    """Beside that the file is fine."""
    config, findings = configuration(device.path)
    assert config == device.config
    first, *rest = findings
    assert (first.state, first.text) == ("ok", f"{device.path} is fine")
    return rest


def moment(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s).astimezone():%Y-%m-%d %H:%M:%S}"


def test_the_file_alone_is_in_force_until_something_comes(device: SimulatedDevice) -> None:
    [found] = told(device)
    assert found == Finding("configuration", "ok", f"{device.path} alone is in force; nothing from afar is used")


def test_a_configuration_from_afar_is_named_with_its_owner_and_since_when(device: SimulatedDevice) -> None:
    before_s = time.time()
    wish(device, 7, "one@1", turns=2)
    [trial] = told(device)
    assert "on trial: signed by the owner of" in trial.text
    wish(device, 7, "one@1")
    [kept] = told(device)
    moments = [moment(before_s + s) for s in range(round(time.time() - before_s) + 2)]
    assert kept.text in [
        f"one@1 over {device.path} is in force since {at}, kept: signed by the owner of the registry behind "
        "mqtt://localhost:1883, as desired document 7 asked for"
        for at in moments
    ]


def test_what_is_in_force_is_judged_and_not_the_file(device: SimulatedDevice) -> None:
    wish(device, 1, "two@1")
    assert device.report["state"] == "kept"
    [model] = [found for found in examine(device.path) if found.subject == "model"]
    assert (model.state, model.text.split(":")[0]) == ("problem", "p")


def test_what_was_returned_is_told_with_its_reason_and_what_is_used_instead(
    owner: Owner, device: SimulatedDevice
) -> None:
    wish(device, 1, "one@1")
    wish(device, 2, "sick@1")
    force, returned = told(device)
    assert force.text.startswith(f"one@1 over {device.path} is in force since ")
    assert returned.state == "note"
    assert "sick@1 is wanted, and was returned: not well within" in returned.text
    revoke_configuration(owner.repository, owner.keyring, Reference.parse("one@1"))
    for _ in range(40):
        device.turn()
    force, returned = told(device)
    with Ledger(device.store.ledger) as ledger:
        last = ledger.history(HISTORY)[0]
    assert (last.version, last.event) == ("one@1", RETURNED)
    assert force.text == f"{device.path} alone is in force since {moment(last.at_s)}; nothing from afar is used"
    assert "its owner has revoked it" in returned.text


def test_one_that_the_disk_has_lost_is_a_problem(device: SimulatedDevice) -> None:
    wish(device, 1, "one@1")
    device.store.path_of(device.standing.good).write_text("damaged")
    _, findings = configuration(device.path)
    assert [found.state for found in findings] == ["ok", "ok", "problem"]
    assert "alone is in force" in findings[1].text
    assert "is damaged" in findings[2].text


def test_where_it_cannot_be_seen_that_is_said(device: SimulatedDevice) -> None:
    wish(device, 1, "one@1")
    device.end()
    shutil.rmtree(device.store.folder)
    device.store.folder.write_text("a file, as nobody can enter it")
    config, findings = configuration(device.path)
    assert config is not None
    assert findings[-1].state == "problem"
    assert "cannot be told" in findings[-1].text
    assert findings[-1].fix.endswith(f"sudo -u appliance appliance doctor --config {device.path}")
