"""What the unit lets the service talk to, said before the service is found deaf."""

from __future__ import annotations

import os
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli import main
from appliance.config import parse
from appliance.reach import Reach
from appliance.reach_doctor import reach_findings
from tests.conftest import REPOSITORY

SHIPPED = "127.0.0.0/8 ::1/128 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fe80::/10 fc00::/7 224.0.0.0/4"
CLOSED = Reach(tuple(map(ip_network, SHIPPED.split())), (ip_network("::/0"), ip_network("0.0.0.0/0")))
HOSTS = {
    "127.0.0.1": "",
    "192.168.7.2": "",
    "fd00::7": "",
    "169.254.10.2": "169.254.10.2",
    "100.64.3.4": "100.64.3.4",
    "203.0.113.9": "203.0.113.9",
    "2001:db8::7": "2001:db8::7",
}
"""Hosts, and what of them is refused by the unit as it is shipped."""
CONFIG = """
[mqtt]
broker = "mqtt://100.64.3.4:1883"
[[camera]]
name = "gate"
uri = "rtsp://169.254.10.2/stream"
[[camera]]
name = "yard"
uri = "rtsp://192.168.7.2/stream"
[[camera]]
name = "dock"
uri = "scene:shapes"
"""


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """From now on systemctl says this."""

    def says(text: str) -> None:
        program = tmp_path / "systemctl"
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return says


@pytest.mark.parametrize(("host", "refused"), HOSTS.items())
def test_the_unit_as_it_is_shipped_reaches_private_networks_and_no_others(host: str, refused: str) -> None:
    assert CLOSED.refused(host) == refused


def test_the_table_above_is_that_of_the_unit() -> None:
    unit = (REPOSITORY / "systemd" / "appliance.service").read_text()
    assert f"IPAddressAllow={SHIPPED.replace('127.0.0.0/8 ::1/128', 'localhost')}\n" in unit


def test_the_doctor_names_whom_the_service_does_not_reach_and_how_it_would() -> None:
    found = {finding.subject: finding for finding in reach_findings(parse(CONFIG, "a.toml"), CLOSED)}
    assert set(found) == {"broker", "camera gate"}
    assert "the unit refuses 100.64.3.4" in found["broker"].text
    assert found["camera gate"].fix.startswith("systemctl edit appliance: [Service], IPAddressAllow=169.254.10.2")


@pytest.mark.parametrize(
    ("said", "refused"),
    {
        "IPAddressAllow=10.0.0.0/8\nIPAddressDeny=::/0 0.0.0.0/0\n": True,
        "IPAddressAllow=127.0.0.0/8\nIPAddressDeny=::/0 0.0.0.0/0\n": False,
        "IPAddressAllow=\nIPAddressDeny=\n": False,
        "": False,
    }.items(),
    ids=["the unit refuses it", "a drop-in allows it", "no such unit", "systemd cannot be asked"],
)
def test_init_says_when_the_unit_refuses_the_broker(
    systemd: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, refused: bool
) -> None:
    monkeypatch.setattr("capture.camera.cameras", list)
    monkeypatch.setattr("capture.microphones.input_devices", list)
    systemd(said)
    command = ["init", "--config", str(tmp_path / "a.toml"), "--broker", "mqtt://127.0.0.1:1"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0
    assert ("the unit refuses 127.0.0.1" in done.output) is refused
