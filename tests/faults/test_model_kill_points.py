"""kill -9 after everything that a version's way leaves on the disk: never mixed, and the next life goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sync.carrier import Carrier
from appliance.sync.http_carrier import HttpCarrier
from appliance.sync.ledger import Ledger
from appliance.sync.slots import Slots
from appliance.sync.states import State
from tests.appliance.sync.machines import catalogue
from tests.appliance.sync.world import Hands, served_http
from tests.chaos.telling import tell
from tests.registries import Owner, as_version, noise, shipped

pytestmark = [pytest.mark.faults, pytest.mark.system, pytest.mark.timeout(600)]

WAY = [
    "fetched",
    "staged",
    "parts removed",
    "inspected",
    "built",
    "tried",
    "the shipped version is installed",
    "the active version is pinned",
    "the new version is installed",
    "probation is written",
    "kept",
]


class Device:
    """Lives again and again."""

    def __init__(self, folder: Path, url: str, root: Path) -> None:
        self.folder, self._url, self._root = folder, url, root

    def lives(self, ending: str, survived: list[str]) -> Iterator[str]:
        """Each ends after a thing that none before ended after; the last reaches its end."""
        while True:
            words = [str(self.folder), self._url, str(self._root), ending, *survived]
            done = subprocess.run(
                [sys.executable, "-m", "tests.model_life", *words],
                stdout=subprocess.PIPE,
                text=True,
                timeout=120,
                check=False,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            if done.returncode == 0:
                return
            assert done.returncode == -signal.SIGKILL
            survived.append(done.stdout.strip())
            yield survived[-1]

    def active(self) -> str:
        """What a start now would open: every file checked."""
        return catalogue(self.folder).find("shapes").manifest.version

    def state(self) -> State:
        with Ledger(Slots(catalogue(self.folder)).ledger) as ledger:
            job = ledger.job("shapes")
            assert job is not None
            return job.state


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    owner = Owner(tmp_path / "registry")
    owner.publish(as_version(shipped("shapes"), "2", tmp_path / "bundles", noise(600_000)))
    root = tmp_path / "root.json"
    root.write_bytes(owner.anchor)
    with served_http(Hands(owner.folder)) as carrier:
        made: Carrier = carrier()
        assert isinstance(made, HttpCarrier)
        yield Device(tmp_path / "device", made.url, root)


@pytest.mark.parametrize("spared", [[], ["probation is written"]], ids=["each", "the pointer"])
def test_the_next_start_is_right_after_a_kill_at_any_step(device: Device, spared: list[str]) -> None:
    ended = []
    for thing in device.lives("keep", list(spared)):
        ended.append(thing)
        late = {"kept", "probation is written", "the pointer has moved"} & set(ended)
        assert device.active() == "1" or late, thing
        assert device.active() in ("1", "2")
    assert device.active() == "2"
    assert device.state() is State.KEPT
    expected = [thing for thing in WAY if thing not in spared]
    if spared:
        expected.insert(-1, "the pointer has moved")
    assert ended == expected
    for thing in device.lives("return", []):
        ended.append(thing)
        assert device.active() in ("1", "2"), thing
    assert device.active() == "1"
    assert device.state() is State.RETURNED
    tell("G14 killed at every step", deaths=len(ended), unusable=0)
