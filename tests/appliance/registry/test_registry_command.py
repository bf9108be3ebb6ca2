"""`appliance registry` as an owner types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from appliance.cli import main
from tests.registries import PASSPHRASE

pytestmark = pytest.mark.system


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("APPLIANCE_REGISTRY_PASSPHRASE", PASSPHRASE)
    monkeypatch.setenv("APPLIANCE_MODELS", str(tmp_path / "models"))
    assert typed("init", str(tmp_path / "r"), "--root-keys", "2").exit_code == 0
    return tmp_path / "r"


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, ["registry", *words])


def test_an_owner_publishes_lists_rotates_and_revokes(folder: Path) -> None:
    done = typed("publish", str(folder), "shapes")
    assert "shapes@1: 4 files" in done.output, done.output
    assert "shapes@1" in typed("list", str(folder)).output
    assert "new key" in typed("rotate", str(folder), "shapes").output
    assert "nothing ends so soon" in typed("renew", str(folder), "--within-days", "0").output
    assert "shapes@1: revoked by shapes" in typed("revoke", str(folder), "shapes@1").output
    assert "nothing is published" in typed("list", str(folder)).output


def test_keys_shows_who_signs_and_what_is_elsewhere(folder: Path) -> None:
    next((folder / "keys").glob("root-*")).unlink()
    rows = {row["role"]: row for row in json.loads(typed("keys", str(folder), "--json").output)}
    assert rows["root"]["threshold"] == 2
    assert sorted(key["here"] for key in rows["root"]["keys"]) == [False, True]
    assert "elsewhere" in typed("keys", str(folder)).output


WRONG = {
    "no registry": (["list", "none"], "not a whole registry"),
    "no version": (["revoke", "FOLDER", "shapes"], "name a model and its version"),
    "no such model": (["publish", "FOLDER", "none"], "no such model"),
    "no such role": (["rotate", "FOLDER", "none"], "no such role"),
    "nothing to serve with": (["serve", "FOLDER"], "Give --http"),
    "an address that is none": (["serve", "FOLDER", "--http", "8090"], "expected ADDRESS:PORT"),
    "a broker that is none": (["serve", "FOLDER", "--broker", "here"], "not a broker address"),
    "a passphrase that is not there": (["renew", "FOLDER", "--passphrase-file", "none"], "cannot be read"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_a_sentence(folder: Path, case: str) -> None:
    words, sentence = WRONG[case]
    done = typed(*[str(folder) if word == "FOLDER" else word for word in words])
    assert done.exit_code == 2, done.output
    assert sentence in done.output


def test_without_a_passphrase_nothing_is_signed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("APPLIANCE_REGISTRY_PASSPHRASE")
    assert "the keys need their passphrase" in typed("publish", str(folder), "shapes").output
    monkeypatch.setenv("APPLIANCE_REGISTRY_PASSPHRASE", "another passphrase")
    assert "sealed with another passphrase" in typed("publish", str(folder), "shapes").output


def test_renew_signs_the_timestamp_before_it_ends(folder: Path) -> None:
    before = (folder / "metadata/timestamp.json").read_bytes()
    done = typed("renew", str(folder), "--within-days", "2")
    assert "timestamp signed again" in done.output
    assert (folder / "metadata/timestamp.json").read_bytes() != before
