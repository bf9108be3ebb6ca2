"""Keys on disk."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from appliance.registry.errors import RegistryError
from appliance.registry.keyring import Keyring
from appliance.registry.repository import Repository, Terms
from appliance.registry.sealed_key import SealedKey
from tests.registries import PASSPHRASE, Owner


def test_a_sealed_key_opens_with_its_passphrase_and_signs_the_same(tmp_path: Path) -> None:
    sealed, signer = SealedKey.make("root", PASSPHRASE)
    sealed.write(tmp_path / "root.key")
    again = SealedKey.read(tmp_path / "root.key").open(PASSPHRASE, tmp_path / "root.key")
    assert again.sign(b"words").signature == signer.sign(b"words").signature


def test_another_passphrase_is_said_and_nothing_of_the_key_is_shown(tmp_path: Path) -> None:
    sealed, _ = SealedKey.make("root", PASSPHRASE)
    with pytest.raises(RegistryError, match=r"other\.key: sealed with another passphrase"):
        sealed.open("another passphrase", tmp_path / "other.key")


def test_a_key_that_is_passed_off_as_another_roles_does_not_open(tmp_path: Path) -> None:
    sealed, _ = SealedKey.make("timestamp", PASSPHRASE)
    with pytest.raises(RegistryError, match="or damaged"):
        sealed.model_copy(update={"role": "root"}).open(PASSPHRASE, tmp_path / "root.key")


def test_no_key_of_a_registry_can_be_read_by_others_and_none_lies_open(tmp_path: Path) -> None:
    owner = Owner(tmp_path / "r")
    files = list((tmp_path / "r" / "keys").iterdir())
    assert len(files) == 6
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    for file in files:
        signer = SealedKey.read(file).open(PASSPHRASE, file)
        assert signer.private_bytes not in file.read_bytes()
        assert b"PRIVATE" not in file.read_bytes()
    assert owner.keyring.has(SealedKey.read(files[0]).keyid)


def test_a_short_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="at least 12 characters"):
        Keyring([tmp_path], "short")


def test_more_root_keys_must_not_be_needed_than_there_are(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="2 of 1 root keys can never sign"):
        Repository.create(tmp_path / "r", Terms(root_keys=1), Keyring([tmp_path / "k"], PASSPHRASE))


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RegistryError, match="there is something already"):
        Owner(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]
