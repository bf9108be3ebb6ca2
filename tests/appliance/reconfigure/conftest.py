"""A whole appliance that may be given another configuration, a registry on its broker, and their owner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.registry.configurations import publish_configuration
from appliance.sync.published import Reference
from tests.appliance.sync.world import Hands, served_mqtt
from tests.appliance_process import Ear
from tests.conftest import Broker
from tests.registries import Owner
from tests.waiting import until

DESIRED, REPORTED = "appliance/box/config/desired", "box/config/reported"


def pipeline(name: str, camera: str = "dock", more: str = "") -> str:
    return f"""
[[pipeline]]
name = "{name}"
source = "{camera}"
model = "shapes"
{more}
"""


def camera(name: str = "dock", uri: str = "scene:shapes", more: str = "") -> str:
    return f"""
[[camera]]
name = "{name}"
uri = "{uri}"
fps = 5
{more}
"""


class Site:
    """What its owner and its operator do."""

    def __init__(self, folder: Path, broker: Broker, owner: Owner, ear: Ear) -> None:
        self.folder, self.broker, self.owner, self.ear = folder, broker, owner, ear
        (folder / "root.json").write_bytes(owner.anchor)
        self.n = 0

    def file(self, patience_s: float = 6.0, hold_s: float = 1.5, look_s: float = 21_600.0) -> str:
        """The file on the device."""
        return f"""
[mqtt]
broker = "{self.broker.url}"
[models]
registry = "mqtt"
root = "{self.folder}/root.json"
look_s = {look_s}
[reconfigure]
patience_s = {patience_s}
hold_s = {hold_s}
{camera()}{pipeline("shapes")}"""

    def publish(self, reference: str, text: str, *devices: str) -> None:
        path = self.folder / f"{reference}.toml"
        path.write_text(text, encoding="utf-8")
        publish_configuration(
            self.owner.repository, self.owner.keyring, path, Reference.parse(reference), devices or None
        )

    def desire(self, config: str | None, n: int | None = None) -> int:
        self.n = self.n + 1 if n is None else n
        self.ear.forge(DESIRED, json.dumps({"n": self.n, "config": config}).encode(), retain=True)
        return self.n

    def reported(self) -> dict[str, Any]:
        reports = self.ear.documents(REPORTED)
        found: dict[str, Any] = reports[-1] if reports else {}
        return found

    def await_state(self, state: str, within_s: float = 60.0) -> dict[str, Any]:
        """Of what was desired last."""

        def come() -> bool:
            return (self.reported().get("n"), self.reported().get("state")) == (self.n, state)

        until(come, within_s, f"{state}, not {self.reported()}")
        return self.reported()

    def command(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "appliance", *words],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    @property
    def config(self) -> list[str]:
        return ["--config", str(self.folder / "appliance.toml")]


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:
    with Ear(broker.port) as ear:
        yield ear


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    return Owner(tmp_path / "registry")


@pytest.fixture
def hands(owner: Owner) -> Hands:
    return Hands(owner.folder)


@pytest.fixture
def site(tmp_path: Path, broker: Broker, owner: Owner, ear: Ear, hands: Hands) -> Iterator[Site]:
    with served_mqtt(hands, broker):
        yield Site(tmp_path, broker, owner, ear)
