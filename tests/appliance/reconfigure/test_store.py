"""What is on the disk decides a start: damaged, lost or read-only, the appliance starts with the best that is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.reconfigure.effective import begin, effective
from tests.appliance.reconfigure.simulated import SimulatedDevice, camera, document, publish
from tests.registries import Owner


@pytest.fixture
def device(tmp_path: Path) -> Iterator[SimulatedDevice]:
    """Has kept one@1, and then two@1."""
    owner = Owner(tmp_path / "registry")
    publish(owner, tmp_path, "one@1", camera(11))
    publish(owner, tmp_path, "two@1", camera(12))
    publish(owner, tmp_path, "three@1", camera(13))
    made = SimulatedDevice(tmp_path / "device", owner.folder, owner.anchor)
    for n, name in ((1, "one@1"), (2, "two@1")):
        made.desire(document(n, name))
        for _ in range(20):
            made.turn()
        assert made.report["state"] == "kept"
    yield made
    made.end()


def fps(device: SimulatedDevice) -> float | None:
    return effective(device.path).config.camera[0].fps


def test_the_last_good_one_and_the_one_before_stay_and_nothing_else(device: SimulatedDevice) -> None:
    standing = device.standing
    assert (standing.good.name, standing.before.name) == ("two@1", "one@1")
    texts = {path.stem for path in (device.store.folder / "texts").iterdir()}
    assert texts == {standing.good.digest, standing.before.digest}


def test_a_trial_whose_text_is_damaged_gives_way_to_the_last_good_one(device: SimulatedDevice) -> None:
    device.desire(document(3, "three@1"))
    device.turn()
    trial = device.standing.trial
    assert trial is not None
    assert fps(device) == 13
    device.store.path_of(trial).write_text(camera(99))
    found = effective(device.path)
    assert (found.config.camera[0].fps, found.version.name) == (12, "two@1")
    assert "three@1" in found.complaint
    assert "is damaged" in found.complaint
    device.start()
    for _ in range(20):
        device.turn()
    assert (device.report["state"], device.report["active"]) == ("returned", "two@1")
    assert "is damaged" in device.report["reason"]


@pytest.mark.parametrize("damage", [b"", b"{", b"\0" * 4096, b'{"good": 3}'])
def test_a_damaged_standing_is_that_of_the_last_good_one(device: SimulatedDevice, damage: bytes) -> None:
    (device.store.folder / "standing.json").write_bytes(damage)
    assert fps(device) == 12


def test_all_of_it_damaged_is_the_file_on_the_device_and_the_start_goes_on(device: SimulatedDevice) -> None:
    for path in device.store.folder.rglob("*"):
        if path.is_file():
            path.write_bytes(b"\0" * 100)
    assert fps(device) is None
    device.start()
    device.desire(document(3, "three@1"))
    for _ in range(20):
        device.turn()
    assert (device.report["state"], device.report["active"]) == ("kept", "three@1")


def test_a_start_does_without_writing(device: SimulatedDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    device.desire(document(3, "three@1"))
    device.turn()

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("appliance.reconfigure.store.replace", refuse)
    assert begin(device.path).version.name == "three@1"


def test_a_file_that_does_not_fit_any_more_is_used_alone_and_that_is_said(device: SimulatedDevice) -> None:
    text = device.path.read_text()
    shapes = '[[pipeline]]\nname = "shapes"\nsource = "other"\nmodel = "shapes"\n'
    device.path.write_text(text.replace('name = "dock"', 'name = "other"') + shapes)
    found = effective(device.path)
    assert (found.version.name, found.config.camera[0].name) == ("", "other")
    assert 'source = "other": no camera or microphone has this name' in found.complaint
    device.path.write_text(text)
    assert fps(device) == 12


def test_without_the_table_the_file_alone_counts_and_nothing_is_lost(device: SimulatedDevice) -> None:
    text = device.path.read_text()
    device.path.write_text(text.replace("[reconfigure]", ""))
    assert fps(device) is None
    device.path.write_text(text)
    assert fps(device) == 12
