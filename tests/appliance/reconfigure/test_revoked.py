"""A configuration that its owner has taken back: no device uses it, goes back to it, or tries it again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.reconfigure.effective import effective
from appliance.reconfigure.standing import FILE_ALONE, Standing, State, Version
from appliance.registry.configurations import listed_configurations, publish_configuration, revoke_configuration
from appliance.registry.errors import RegistryError
from appliance.sync.published import Reference
from tests.appliance.reconfigure.simulated import LOOK_S, SICK, STEP_S, SimulatedDevice, camera, document, publish
from tests.registries import Owner

ONE, TWO, THREE = (Version(f"docks@{number}", str(number) * 64, number) for number in (1, 2, 3))
KEPT = Standing(3, "docks@2", State.KEPT, good=TWO, before=ONE)
TRIAL = Standing(4, "docks@3", State.TRIAL, good=TWO, before=ONE, trial=THREE)
FETCH = Standing(4, "docks@3", State.FETCH, good=TWO, before=ONE)

RULES = {
    "what is used": (KEPT, [TWO], (State.RETURNED, ONE, ONE, FILE_ALONE)),
    "what is used and the one before": (KEPT, [TWO, ONE], (State.RETURNED, FILE_ALONE, FILE_ALONE, FILE_ALONE)),
    "the one before": (KEPT, [ONE], (State.KEPT, TWO, TWO, FILE_ALONE)),
    "what is on trial": (TRIAL, [THREE], (State.RETURNED, TWO, TWO, ONE)),
    "what a trial would go back to": (TRIAL, [TWO], (State.TRIAL, THREE, ONE, FILE_ALONE)),
    "a trial and all before it": (TRIAL, [THREE, TWO, ONE], (State.RETURNED, FILE_ALONE, FILE_ALONE, FILE_ALONE)),
    "what is used while another is on its way": (FETCH, [TWO], (State.FETCH, ONE, ONE, FILE_ALONE)),
}


@pytest.mark.parametrize("name", RULES)
def test_revoked_is(name: str) -> None:
    standing, revoked, wanted = RULES[name]
    left = standing.revoke(revoked, "revoked")
    assert (left.state, left.active, left.good, left.before) == wanted
    assert left.reason == ("revoked" if standing.active in revoked else "")


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    owner = Owner(tmp_path / "registry")
    for number in (1, 2, 3):
        publish(owner, tmp_path, f"docks@{number}", camera(10 + number))
    publish(owner, tmp_path, "sick@1", SICK + camera(20))
    return owner


@pytest.fixture
def device(tmp_path: Path, owner: Owner) -> Iterator[SimulatedDevice]:
    """Has kept docks@1, and then docks@2."""
    made = SimulatedDevice(tmp_path / "device", owner.folder, owner.anchor)
    for n in (1, 2):
        made.desire(document(n, f"docks@{n}"))
        settle(made)
        assert made.report["state"] == "kept"
    yield made
    made.end()


def settle(device: SimulatedDevice) -> None:
    """Longer than from one look to the next, and than a trial."""
    for _ in range(round(2 * LOOK_S / STEP_S)):
        device.turn()


def revoke(owner: Owner, reference: str) -> None:
    revoke_configuration(owner.repository, owner.keyring, Reference.parse(reference))


def test_a_device_goes_back_to_its_last_good_one_and_says_why(owner: Owner, device: SimulatedDevice) -> None:
    revoke(owner, "docks@2")
    settle(device)
    assert (device.report["active"], device.report["state"]) == ("docks@1", "returned")
    assert device.report["reason"] == "docks@2: its owner has revoked it"
    assert device.config.camera[0].fps == 11
    assert [path.stem for path in (device.store.folder / "texts").iterdir()] == [device.standing.good.digest]
    device.registry.away = True
    device.start()
    assert device.config.camera[0].fps == 11


def test_a_device_without_another_one_goes_back_to_its_own_file(owner: Owner, device: SimulatedDevice) -> None:
    revoke(owner, "docks@1")
    revoke(owner, "docks@2")
    settle(device)
    assert (device.report["active"], device.report["state"]) == (None, "returned")
    assert device.config.camera[0].fps is None
    (device.store.folder / "standing.json").write_bytes(b"damaged")
    assert effective(device.path).version == FILE_ALONE


def test_a_revoked_one_is_never_tried(owner: Owner, device: SimulatedDevice) -> None:
    revoke(owner, "docks@3")
    device.desire(document(3, "docks@3"))
    device.turn()
    assert (device.report["active"], device.report["state"]) == ("docks@2", "returned")
    assert "nobody has signed it, or it was revoked" in device.report["reason"]


def test_a_trial_that_does_not_hold_never_goes_back_to_a_revoked_one(owner: Owner, device: SimulatedDevice) -> None:
    revoke(owner, "docks@2")
    device.desire(document(3, "sick@1"))
    device.turn()
    assert (device.standing.good.name, device.standing.state) == ("docks@1", State.TRIAL)
    settle(device)
    assert (device.report["active"], device.report["state"]) == ("docks@1", "returned")
    assert "not well within" in device.report["reason"]


def test_a_trial_is_given_up_when_it_is_revoked(owner: Owner, device: SimulatedDevice) -> None:
    device.live._look_s = 0.0  # at each turn
    device.desire(document(3, "docks@3"))
    device.turn()
    assert device.standing.trial is not None
    revoke(owner, "docks@3")
    settle(device)
    assert (device.report["active"], device.report["state"]) == ("docks@2", "returned")
    assert "revoked" in device.report["reason"]


def test_a_person_cannot_go_back_to_a_revoked_one(owner: Owner, device: SimulatedDevice) -> None:
    revoke(owner, "docks@1")
    settle(device)
    assert (device.report["active"], device.report["state"]) == ("docks@2", "kept")
    assert device.standing.go_back("asked for").active == FILE_ALONE


def test_a_registry_that_is_away_or_not_believed_takes_nothing_back(owner: Owner, device: SimulatedDevice) -> None:
    revoke(owner, "docks@2")
    device.registry.away = True
    settle(device)
    assert device.report["active"] == "docks@2"
    device.registry.away = False
    timestamp = owner.folder / "metadata" / "timestamp.json"
    signed = timestamp.read_bytes()
    timestamp.write_bytes(signed.replace(b'"sig":"', b'"sig":"00'))
    settle(device)
    assert device.report["active"] == "docks@2"
    timestamp.write_bytes(signed)
    settle(device)
    assert device.report["active"] == "docks@1"


def test_published_anew_for_other_devices_or_with_another_content_it_is_taken_back(
    owner: Owner, device: SimulatedDevice, tmp_path: Path
) -> None:
    path, reference = tmp_path / "docks@2.toml", Reference("docks", "2")
    publish_configuration(owner.repository, owner.keyring, path, reference, ("another-box",), again=True)
    settle(device)
    assert device.report["active"] == "docks@1"
    revoke(owner, "docks@1")
    publish(owner, tmp_path, "docks@1", camera(19))
    settle(device)
    assert device.report["active"] is None


def test_what_is_published_anew_can_be_used_again(owner: Owner, device: SimulatedDevice, tmp_path: Path) -> None:
    revoke(owner, "docks@2")
    settle(device)
    publish(owner, tmp_path, "docks@2", camera(12))
    settle(device)
    assert device.report["active"] == "docks@1", "the document was heard before it was revoked"
    device.desire(document(3, "docks@2"))
    settle(device)
    assert (device.report["active"], device.report["state"]) == ("docks@2", "kept")


def test_the_owner_is_told_what_is_not_there_to_be_revoked(owner: Owner) -> None:
    revoke(owner, "docks@1")
    assert {str(each.reference) for each in listed_configurations(owner.repository)} == {
        "docks@2",
        "docks@3",
        "sick@1",
    }
    assert not list((owner.folder / "targets" / "Configuration" / "docks").glob("*.1.toml"))
    for reference in ("docks@1", "shapes@1"):
        with pytest.raises(RegistryError, match="no such configuration is published"):
            revoke(owner, reference)
