"""Goal G14: kill -9 on a version's way there and back: never mixed, and the next life goes on."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
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
from tests.model_life import NEW, OLD, WANTED, die, live
from tests.outbox_life import in_memory
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

AFTER_DEATH = {(state, OLD) for state in (None, *State) if state is not State.KEPT} | {
    (state, NEW) for state in (State.PROBATION, State.KEPT, State.RETURNED)
}
"""What the ledger says, and what is active before a start has made the two one."""

NURSERY = multiprocessing.get_context("forkserver")
NURSERY.set_forkserver_preload(["tests.model_life"])


class Site:
    """A registry, and devices that live again and again."""

    def __init__(self, folder: Path, url: str, root: Path, digests: dict[str, str]) -> None:
        self.folder, self.url, self.root = folder, url, root
        self.digests = digests
        """Of what a version holds, by the version."""

    def lives(self, device: Path, ending: str, survived: list[str]) -> Iterator[str]:
        """Each ends after a thing that none before ended after; the last reaches its end."""
        while True:
            hears, tells = NURSERY.Pipe(duplex=False)
            life = NURSERY.Process(target=die, args=(device, self.url, self.root, ending, survived, tells))
            life.start()
            tells.close()
            life.join(120)
            life.kill()
            if life.exitcode == 0:
                return
            survived.append(hears.recv())
            yield survived[-1]

    def deaths(self, device: Path, within_s: Callable[[], float], *, inspected: bool = False) -> Iterator[None]:
        """Lives that are killed after so long; the last has reached its end before.

        None ends otherwise: a start that finds another version active than the ledger says would.
        """
        while True:
            words = {"inspected": inspected}
            life = NURSERY.Process(target=live, args=(device, self.url, self.root), kwargs=words)
            life.start()
            life.join(within_s())
            life.kill()
            life.join()
            if life.exitcode == 0:
                return
            assert life.exitcode == -signal.SIGKILL
            yield

    def lasts_s(self, device: Path, *, inspected: bool = False) -> float:
        """A life that nobody ends."""
        began_s = time.monotonic()
        assert not list(self.deaths(device, lambda: 60.0, inspected=inspected))
        return time.monotonic() - began_s

    def active(self, device: Path) -> str:
        """The version that a start now would open; every file is that version's."""
        found = catalogue(device).find(WANTED.model).manifest
        assert found.digest == self.digests[found.version]
        return found.version

    def state(self, device: Path) -> State | None:
        """None: nothing was wanted yet."""
        slots = Slots(catalogue(device))
        if not slots.ledger.exists():
            return None
        with Ledger(slots.ledger) as ledger:
            job = ledger.job(WANTED.model)
            return None if job is None else job.state


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    owner = Owner(tmp_path / "registry")
    new = as_version(shipped("shapes"), NEW, tmp_path / "bundles", noise(600_000))
    owner.publish(new)
    root = tmp_path / "root.json"
    root.write_bytes(owner.anchor)
    with served_http(Hands(owner.folder)) as carrier:
        made: Carrier = carrier()
        assert isinstance(made, HttpCarrier)
        digests = {OLD: shipped("shapes").manifest.digest, NEW: new.manifest.digest}
        yield Site(tmp_path, made.url, root, digests)


@pytest.mark.parametrize("spared", [[], WAY[:-1]], ids=["each", "the pointer"])
def test_the_next_start_is_right_after_a_kill_at_any_step(site: Site, spared: list[str]) -> None:
    device, ended = site.folder / "device", []
    for thing in site.lives(device, "keep", list(spared)):
        ended.append(thing)
        late = {"kept", "probation is written", "the pointer has moved"} & set(ended)
        assert site.active(device) == OLD or late, thing
        assert site.active(device) in (OLD, NEW)
    assert site.active(device) == NEW
    assert site.state(device) is State.KEPT
    expected = [thing for thing in WAY if thing not in spared]
    if spared:
        expected.insert(-1, "the pointer has moved")
    assert ended == expected
    for thing in site.lives(device, "return", []):
        ended.append(thing)
        assert site.active(device) in (OLD, NEW), thing
    assert site.active(device) == OLD
    assert site.state(device) is State.RETURNED
    tell("G14 killed at every step", deaths=len(ended), unusable=0)


@pytest.mark.timeout(1800)
def test_the_next_start_is_right_after_a_kill_at_any_moment(site: Site, long_run: bool) -> None:
    seed, wanted = 14, 500 if long_run else 30
    chance = random.Random(seed)
    began_s = time.monotonic()
    found: list[tuple[State | None, str]] = []
    with in_memory(site.folder) as folder:
        devices, lasts_s = 0, site.lasts_s(folder / "the nursery begins")
        while len(found) < wanted:
            if devices % 10 == 0:  # the machine may have more to do than before, or less
                lasts_s = site.lasts_s(folder / f"unharmed-{devices}")
            device = folder / f"device-{devices}"
            inspected = long_run and devices % 20 == 19
            # An inspection that is cut short begins anew: with less time than one takes, no life would reach its end.
            within_s = 1.5 * site.lasts_s(folder / f"inspected-{devices}", inspected=True) if inspected else lasts_s
            for _ in site.deaths(device, partial(chance.uniform, 0, within_s), inspected=inspected):
                found.append((site.state(device), site.active(device)))
                assert found[-1] in AFTER_DEATH
            assert (site.state(device), site.active(device)) == (State.RETURNED, OLD)
            shutil.rmtree(device)
            devices += 1
    tell(
        "G14 killed at any moment",
        deaths=len(found),
        unusable=0,
        devices=devices,
        states=Counter(state.value if state else "nothing wanted" for state, _ in found),
        new=sum(version == NEW for _, version in found),
        a_life_s=round(lasts_s, 2),
        seconds=round(time.monotonic() - began_s, 1),
        seed=seed,
    )
