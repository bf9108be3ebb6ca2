"""Certificates that are renewed, and members that are removed, while a real mosquitto goes on."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

import pytest

from tests.appliance.broker_folder.members import pair, refused
from tests.chaos.telling import tell
from tests.secured_broker import SecuredBroker, command
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system, pytest.mark.usefixtures("programs")]


def test_a_renewed_certificate_and_the_one_before_it_are_both_good(small: SecuredBroker) -> None:
    command("renew", small.folder, "dock-1")
    old, new = small.folder / "retired" / "dock-1-1", small.of("dock-1")
    assert (old / "dock-1.key").read_bytes() != (new / "dock-1.key").read_bytes()
    for folder in (old, new):
        with small.client("dock-1", pair=pair(folder, "dock-1")) as client:
            assert client.may_publish("appliance/dock-1/available")


def test_who_is_removed_may_do_nothing_after_a_reload_and_is_not_let_in_again(small: SecuredBroker) -> None:
    command("renew", small.folder, "dock-1")
    with small.client("dock-1") as gone:
        assert gone.may_publish("appliance/dock-1/available")
        command("remove", small.folder, "dock-1")
        removed_s = time.monotonic()
        small.reload()
        until(lambda: not gone.may_publish("appliance/dock-1/available"))
        tell("G23 removed", cut_after_s=round(time.monotonic() - removed_s, 2))
    small.reload()
    for folder in sorted((small.folder / "retired").glob("dock-1-*")):
        refused(small, pair=pair(folder, "dock-1"), trusted=small.of("dock-2") / "trusted.crt")
    with small.client("dock-2") as other:
        assert other.may_publish("appliance/dock-2/available")
    command("add-device", small.folder, "dock-1")
    small.reload()
    with small.client("dock-1") as back:
        assert back.may_publish("appliance/dock-1/available")


def test_an_authority_is_renewed_without_a_moment_in_which_somebody_is_locked_out(small: SecuredBroker) -> None:
    def all_get_in() -> None:
        for name in ("dock-1", "dock-2"):
            with small.client(name) as client:
                assert client.may_publish(f"appliance/{name}/available")

    command("renew", small.folder, "--authority")
    small.reload()
    all_get_in()
    command("renew", small.folder, "dock-1")
    all_get_in()
    said = command("renew", small.folder, "--broker", fails=True)
    assert f"appliance broker renew {small.folder} dock-2" in said
    command("renew", small.folder, "dock-2")
    all_get_in()
    command("renew", small.folder, "--broker")
    all_get_in()
    small.reload()
    all_get_in()
    old = small.folder / "retired" / "dock-1-1"
    refused(small, pair=pair(old, "dock-1"))
    with pytest.raises(ssl.SSLCertVerificationError), small.client("dock-1", trusted=old / "trusted.crt"):
        pass


def test_the_dates_are_shown_and_what_ends_soon_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    command("setup", folder, "--host", "h", "--days", "20")
    command("add-device", folder, "dock-1")
    lines = command("show", folder).splitlines()
    assert [line.split()[:2] for line in lines] == [["authority", "signs"], ["broker", "h"], ["dock-1", "device"]]
    assert "renew it soon" not in lines[0]
    assert "renew it soon" in lines[1]
    assert "renew it soon" in lines[2]
