"""Goal G14: the power is cut at any moment of a version's way there and back: always the old or the new one, whole.

One life of the device is recorded, every call that changes a file; a cut leaves of it what was synced and any part of
the rest. What comes up again is the real thing, on real files.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sync.carrier import Carrier
from appliance.sync.http_carrier import HttpCarrier
from appliance.sync.machine import Tools
from appliance.sync.states import State
from tests.appliance.sync.machines import catalogue, tools
from tests.appliance.sync.world import Hands, served_http
from tests.chaos.telling import tell
from tests.model_life import NEW, OLD, WANTED, started, there_and_back
from tests.outbox_life import in_memory
from tests.power_cut_tree import Tree
from tests.registries import Owner, as_version, noise, shipped
from tests.traced_disk import Act, acts_of

pytestmark = [pytest.mark.faults, pytest.mark.system, pytest.mark.timeout(900)]

BEGUN = "begun"
MAY_BE = {
    BEGUN: {OLD},
    "the new version is installed": {OLD, NEW},
    "probation is written": {NEW},
    "kept": {OLD, NEW},
    "the return is written": {OLD},
}
"""Which version is active after a cut that came after a thing was said, and before the next of these."""
SHARED_MEMORY = "models.db-shm"
"""SQLite's index of its log: written through a mapping, and made anew by whoever comes first."""


class Recorded:
    """A life, and how to go on with what is left of it."""

    def __init__(self, folder: Path, acts: list[Act], made: Tools) -> None:
        self.folder, self.acts, self.made = folder, acts, made

    def files(self) -> dict[Path, bytes]:
        """What it has left on the real disk."""
        paths = [path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink()]
        return {path.relative_to(self.folder): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    tmp_path = tmp_path_factory.mktemp("recorded")
    owner = Owner(tmp_path / "registry")
    owner.publish(as_version(shipped("shapes"), NEW, tmp_path / "bundles", noise(300_000)))
    root = tmp_path / "root.json"
    root.write_bytes(owner.anchor)
    (device := tmp_path / "device").mkdir()
    with served_http(Hands(owner.folder)) as carrier:
        made: Carrier = carrier()
        assert isinstance(made, HttpCarrier)
        life = [sys.executable, "-m", "tests.model_life", str(device), made.url, str(root)]
        yield Recorded(device, acts_of(life, device, tmp_path), tools(made.url, root))


def test_what_is_known_of_the_disk_is_what_lies_there(recorded: Recorded) -> None:
    tree = Tree(recorded.folder)
    for act in recorded.acts:
        tree.follow(act)
    assert tree.now() == recorded.files()


def test_after_a_power_cut_at_any_moment_the_old_or_the_new_version_is_active(
    recorded: Recorded, long_run: bool
) -> None:
    seed, wanted = 14, 200 if long_run else 20
    chance = random.Random(seed)
    began_s = time.monotonic()
    tree, followed, said = Tree(recorded.folder), 0, BEGUN
    active: list[str] = []
    for at in sorted(chance.randrange(len(recorded.acts)) for _ in range(wanted)):
        for act in recorded.acts[followed:at]:
            tree.follow(act)
            said = act.data.decode() if act.kind == "say" and act.data.decode() in MAY_BE else said
        followed = at
        with in_memory(recorded.folder.parent) as left:
            tree.leave(left, chance)
            active.append(come_up(left, recorded.made))
        assert active[-1] in MAY_BE[said], f"after {at} of {len(recorded.acts)} calls, after {said!r}"
    tell(
        "G14 power cuts",
        deaths=len(active),
        unusable=0,
        of_calls=len(recorded.acts),
        old=active.count(OLD),
        new=active.count(NEW),
        seconds=round(time.monotonic() - began_s, 1),
        seed=seed,
    )


def come_up(folder: Path, made: Tools) -> str:
    """The version that a start after the cut finds; then it goes on to the end."""
    with started(folder, made) as at_work:
        version = catalogue(folder).find(WANTED.model).manifest.version
        assert there_and_back(at_work, inspected=False) is State.RETURNED
    assert catalogue(folder).find(WANTED.model).manifest.version == OLD
    assert not list(folder.rglob("*.damaged"))
    return version
