"""The folder of `appliance broker`: whose its files are, and what is said when something cannot be done."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.appliance.broker_folder.members import MEMBERS
from tests.secured_broker import SecuredBroker, command, is_root

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.usefixtures("programs")]


def test_secrets_are_for_their_owner_only(broker: SecuredBroker) -> None:
    secret = [
        path for path in broker.folder.rglob("*") if path.suffix == ".key" or path.name in ("broker.json", "access")
    ]
    assert len(secret) == 2 + len(MEMBERS) + 2
    for path in secret:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for name in ("authority", "clients", "retired"):
        assert stat.S_IMODE((broker.folder / name).stat().st_mode) == 0o700


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes").write_text("mine")
    said = command("setup", full, "--host", "h", fails=True)
    assert "holds notes already, and nothing is overwritten" in said
    assert [path.name for path in full.iterdir()] == ["notes"]
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h")
    before = (folder / "broker" / "server.key").read_bytes()
    assert "a broker is set up here already" in command("setup", folder, "--host", "h", fails=True)
    assert (folder / "broker" / "server.key").read_bytes() == before
    file = tmp_path / "file"
    file.touch()
    assert "file" in command("setup", file, "--host", "h", fails=True)


def test_what_cannot_be_done_is_said_with_the_next_step(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    assert f"appliance broker setup {folder}" in command("add-device", folder, "dock-1", fails=True)
    assert "without a port" in command("setup", folder, "--host", "h:1883", fails=True)
    assert "letters, digits" in command("setup", folder, "--host", "h", "--base", "a/b", fails=True)
    assert "user nobody-of-that-name" in command(
        "setup", folder, "--host", "h", "--owner", "nobody-of-that-name", fails=True
    )
    command("setup", folder, "--host", "h")
    command("add-device", folder, "dock-1")
    assert "is a device already: renew it" in command("add-service", folder, "new", "dock-1", fails=True)
    assert "no dock-9 here; there is dock-1" in command("renew", folder, "dock-1", "dock-9", fails=True)
    assert "no dock-9 here" in command("remove", folder, "dock-9", fails=True)
    assert "letters, digits" in command("add-device", folder, "a+b", fails=True)
    assert "nothing to renew" in command("renew", folder, fails=True)
    assert "new" not in command("show", folder)
    (folder / "broker.json").write_text('{"format": 7}')
    assert "not what `appliance broker` writes" in command("show", folder, fails=True)


def test_without_openssl_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "broker"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install openssl" in command("setup", folder, "--host", "h", fails=True)


def test_an_authority_that_is_kept_elsewhere_is_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h")
    (folder / "authority" / "1" / "authority.key").rename(tmp_path / "safe")
    assert "authority.key is not here" in command("add-device", folder, "dock-1", fails=True)
    (tmp_path / "safe").rename(folder / "authority" / "1" / "authority.key")
    command("add-device", folder, "dock-1")


def test_two_who_add_at_the_same_moment_lose_neither_s_devices(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h")
    words = [sys.executable, "-m", "appliance", "broker", "add-device", str(folder)]
    adding = [subprocess.Popen([*words, f"dock-{n}", f"gate-{n}"], stdout=subprocess.DEVNULL) for n in range(4)]
    assert [one.wait(60) for one in adding] == [0] * 4
    listed = command("show", folder)
    entered = (folder / "broker" / "access").read_text()
    for name in (f"{place}-{n}" for place in ("dock", "gate") for n in range(4)):
        assert name in listed
        assert f"user {name}\n" in entered


def test_an_addition_that_fails_leaves_no_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h")
    before = (folder / "broker" / "access").read_bytes()
    with monkeypatch.context() as there:
        there.setenv("PATH", str(tmp_path))
        command("add-device", folder, "dock-1", "dock-2", fails=True)
    assert (folder / "broker" / "access").read_bytes() == before
    command("add-device", folder, "dock-1", "dock-2")
    assert "dock-2" in command("show", folder)


@pytest.mark.skipif(not is_root(), reason="only root gives files away")
def test_the_broker_s_files_belong_to_the_user_that_it_runs_as(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    elsewhere = ("--at", "/mosquitto/config", "--data", "/mosquitto/data")
    before = os.umask(0o077)
    try:
        command("setup", folder, "--host", "h", "--owner", "1883:1884", *elsewhere)
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "broker").stat().st_mode) == 0o755, "that user has to get at them"
    command("add-device", folder, "dock-1")
    for name in ("access", "server.key", "trusted.crt", "revoked.pem"):
        status = (folder / "broker" / name).stat()
        assert (status.st_uid, status.st_gid) == (1883, 1884), name
    assert (folder / "authority" / "1" / "authority.key").stat().st_uid == os.getuid()
    text = (folder / "broker" / "mosquitto.conf").read_text()
    assert "keyfile /mosquitto/config/server.key" in text
    assert "persistence_location /mosquitto/data/" in text
    assert str(tmp_path) not in text
