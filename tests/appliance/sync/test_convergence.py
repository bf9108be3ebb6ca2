"""Desired models in any order, twice, and between restarts: what runs in the end is what the highest number said."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from appliance.sync.ledger import Job
from appliance.sync.machine import Machine
from appliance.sync.states import State
from appliance.sync.wishes import Wishes
from engines.bundle import Bundle
from tests.appliance.sync.machines import machine, tools
from tests.appliance.sync.test_desired import document
from tests.registries import Owner, as_version, noise, shipped

GOOD, BAD = ("2", "3", "4"), ("8", "9")
SEEDS, LONG_SEEDS = 6, 120


@dataclass
class Device:
    """A ledger and a library on a disk. Fetching and trying are left out: every version is at hand, and those of BAD
    come to nothing on probation."""

    folder: Path
    root: Path
    bundles: dict[str, Bundle]
    wishes: Wishes = field(default_factory=Wishes)
    report: Any = None
    kept: set[str] = field(default_factory=lambda: {"1"})

    def start(self) -> None:
        """A new process."""
        self.wishes = Wishes()
        with self._machine() as at_work:
            at_work.activation.recover()

    def turn(self) -> None:
        """Hear, and one step further with the job."""
        with self._machine() as at_work:
            self.wishes.turn(at_work, may_begin=True)
            job = at_work.ledger.job("shapes")
            if job is not None:
                self._carry(at_work, job)
            self.wishes.turn(at_work, may_begin=False)
        self.report = next(iter(self.wishes.reports.take_all(0)), self.report)

    def starts(self) -> int:
        with self._machine() as at_work:
            job = at_work.ledger.job("shapes")
            return 0 if job is None else job.starts

    def _machine(self) -> Any:
        return machine(self.folder, tools("http://127.0.0.1:9", self.root))

    def _carry(self, at_work: Machine, job: Job) -> None:
        if job.state is State.FETCH:
            bundle = self.bundles[job.version]
            at_work.slots.stage(job, bundle.manifest, dict(bundle.files))
            at_work.ledger.move(job, State.READY, digest=bundle.manifest.digest)
        elif job.state is State.READY and job.activate:
            at_work.ledger.move(job, State.ACTIVATE)
        elif job.state is State.ACTIVATE:
            at_work.activation.activate(job)
        elif job.state is State.PROBATION and job.version in BAD:
            at_work.activation.give_back(job, "it was bad", deny=True)
        elif job.state is State.PROBATION:
            at_work.activation.keep(job)
            self.kept.add(job.version)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    folder = tmp_path_factory.mktemp("bundles")
    made = {each: as_version(shipped("shapes"), each, folder, noise(100, int(each))) for each in (*GOOD, *BAD)}
    return made | {"1": shipped("shapes")}


@pytest.mark.parametrize("first", range(SEEDS))
def test_the_highest_number_decides_whatever_came_when(
    first: int, tmp_path: Path, owner: Owner, bundles: dict[str, Bundle], long_run: bool
) -> None:
    (tmp_path / "root.json").write_bytes(owner.anchor)
    for seed in range(first, LONG_SEEDS if long_run else SEEDS, SEEDS):
        _live(random.Random(seed), Device(tmp_path / str(seed), tmp_path / "root.json", bundles))


def _live(chance: random.Random, device: Device) -> None:
    wanted = {n: chance.choice([*GOOD, *BAD, "1"]) for n in range(1, 6)}
    sent = [*wanted, *chance.choices(list(wanted), k=3)]
    chance.shuffle(sent)
    for n in sent:
        device.wishes.desire(document(n, shapes={"version": wanted[n]}))
        for _ in range(chance.choice([0, 1, 2, 3, 6])):
            device.turn()
            assert device.report["models"]["shapes"]["active"] in device.kept | {wanted[device.report["n"]]}
        if chance.random() < 0.3 and device.starts() < 2:
            device.start()
            device.wishes.desire(document(n, shapes={"version": wanted[n]}))  # retained: it comes again
    for _ in range(12):
        device.turn()
    last = wanted[max(wanted)]
    assert device.report["n"] == max(wanted)
    assert set(device.report["errors"]) <= {""}, "but for a number that was too low"
    found = device.report["models"]["shapes"]
    if last in BAD:
        assert (found["version"], found["state"], found["reason"]) == (last, "returned", "it was bad")
        assert found["active"] in device.kept
    else:
        assert found["active"] == last, (wanted, sent, found)
