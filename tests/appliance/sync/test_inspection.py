"""Bundles that are signed and bad: each is found out in a process that may die of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from appliance.sync import inspection
from appliance.sync.carrier import Stopped
from appliance.sync.inspection import Unfit
from tests import bad_models
from tests.bad_models import Spoil, of_network, spoiled
from tests.children import children
from tests.registries import shipped

pytestmark = pytest.mark.system


def never() -> bool:
    return False


LOOKED: dict[Spoil, str] = {
    bad_models.foreign_operator: "the operator Shell is of evil.example",
    bad_models.endless: "the operator Loop may never end",
}
TRIED: dict[Spoil, str] = {
    bad_models.nan: "NaN",
    bad_models.wrong_numbers: "off the golden ones",
    bad_models.wrong_shape: "100 boxes with 2880 rows of scores",
    bad_models.memory_bomb: "memory|alloc",
}


@pytest.mark.parametrize("spoil", LOOKED, ids=lambda spoil: spoil.__name__)
def test_what_can_be_read_is_refused_without_running_it(spoil: Spoil, tmp_path: Path) -> None:
    with pytest.raises(Unfit, match=LOOKED[spoil]):
        inspection.look(spoiled(tmp_path, spoil).folder, never)


@pytest.mark.parametrize("spoil", TRIED, ids=lambda spoil: spoil.__name__)
def test_what_answers_badly_is_refused(spoil: Spoil, tmp_path: Path) -> None:
    bundle = spoiled(tmp_path, spoil)
    inspection.look(bundle.folder, never)
    with pytest.raises(Unfit, match=TRIED[spoil]) as refused:
        inspection.attempt(bundle.folder, never)
    assert str(refused.value)


def test_what_never_answers_is_ended(tmp_path: Path) -> None:
    bundle = spoiled(tmp_path, bad_models.endless, operators="Loop")
    inspection.look(bundle.folder, never)
    with pytest.raises(Unfit, match="no answer within 4 s"):
        inspection.attempt(bundle.folder, never, within_s=4)
    assert children() == []


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(shipped("shapes").files["model.onnx"].read_bytes()[:-3000])
    with pytest.raises(Unfit):
        inspection.look(of_network(tmp_path, torn).folder, never)


def test_a_file_that_was_changed_after_it_was_signed_is_refused(tmp_path: Path) -> None:
    bundle = spoiled(tmp_path, lambda _model: None)
    with bundle.files["model.onnx"].open("ab") as file:
        file.write(b"more")
    with pytest.raises(Unfit, match="damaged or was changed"):
        inspection.look(bundle.folder, never)


@pytest.mark.parametrize("name", ["shapes", "tones", "digits", "spoken-digits"])
def test_the_models_of_the_package_are_fit(name: str) -> None:
    bundle = shipped(name)
    assert inspection.look(bundle.folder, never) == bundle.manifest.digest
    tried = inspection.attempt(bundle.folder, never)
    assert tried.p95_ms > 0
    assert tried.distance is not None
    assert tried.distance < 0.01


def test_a_stop_ends_it_at_once() -> None:
    began_s = time.monotonic()
    with pytest.raises(Stopped):
        inspection.attempt(shipped("digits").folder, lambda: time.monotonic() > began_s + 0.3)
    assert children() == []


def test_the_process_knows_no_secret_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLIANCE_REGISTRY_PASSPHRASE", "secret")
    seen = tmp_path / "seen"
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\nenv > {seen}\n")
    fake.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(fake))
    with pytest.raises(OSError, match="ended with 0, and said nothing of the model"):
        inspection.look(tmp_path, never)
    assert "secret" not in seen.read_text()
    assert os.environ["APPLIANCE_REGISTRY_PASSPHRASE"] == "secret"
