"""Goal G5: the power is cut at any moment, and the disk keeps no more of what was not synced than it likes.

A simulation at SQLite's own interface to the disk; the outbox that comes up again is the real one, on real files.
"""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from appliance.outbox.outbox import Outbox
from tests.chaos.telling import tell
from tests.outbox_life import Identity, act, entry, identity, in_memory, waiting
from tests.power_cut import Files
from tests.sqlite_disk import SqliteDisk, Step

NAME = "outbox.db"
MARK = f"{NAME}.mark"
QUOTA_BYTES = 1_000_000


@dataclass
class History:
    """What was promised when: by the number of steps that the disk had done."""

    promised: list[tuple[int, dict[Identity, Any]]] = field(default_factory=list)
    """Everything that waited after so many steps, and must not be lost by a cut after them."""
    gone: list[tuple[int, set[Identity]]] = field(default_factory=list)
    """What was acknowledged, dropped or buried by a call that began after so many steps."""
    marks: list[tuple[int, bytes]] = field(default_factory=list)
    """The mark beside the file, which is written without a sync: any of these may be left."""

    def owed(self, steps: int) -> dict[Identity, Any]:
        """What must be there after a cut."""
        before = [rows for at, rows in self.promised if at <= steps]
        gone = {identity for at, identities in self.gone if at < steps for identity in identities}
        return {identity: row for identity, row in (before[-1] if before else {}).items() if identity not in gone}

    def mark(self, steps: int, chance: random.Random) -> bytes | None:
        """One of the marks that may be left."""
        marks = [content for at, content in self.marks if at <= steps]
        return chance.choice(marks) if marks else None


def live(folder: Path, chance: random.Random, actions: int) -> tuple[list[Step], History]:
    """A life of an outbox: everything it did to the disk, and everything it promised."""
    history = History()
    numbers = itertools.count()
    with SqliteDisk() as disk, Outbox(folder / NAME, QUOTA_BYTES) as outbox:
        disk.steps.append(Step("sync", folder))  # what beginning the mark does
        history.marks.append((len(disk.steps), (folder / MARK).read_bytes()))
        before: dict[Identity, Any] = {}
        for _ in range(actions):
            started = len(disk.steps)
            act(outbox, chance, numbers)
            now = waiting(outbox)
            history.gone.append((started, before.keys() - now.keys()))
            history.promised.append((len(disk.steps), now))
            history.marks.append((len(disk.steps), (folder / MARK).read_bytes()))
            before = now
    return disk.steps, history


@dataclass
class Toll:
    """What the cuts cost."""

    cuts: int = 0
    owed: int = 0
    lost: int = 0
    reused: int = 0
    """Identities given a second time."""
    begun_anew: int = 0


def come_up(folder: Path, owed: dict[Identity, Any], toll: Toll) -> None:
    with Outbox(folder / NAME, QUOTA_BYTES) as outbox:
        there = waiting(outbox)
        figures = outbox.figures()
        place = outbox.append([entry("after")])[0]
    assert figures.accepted == figures.stored + figures.sent + figures.dropped + figures.dead
    toll.cuts += 1
    toll.owed += len(owed)
    toll.lost += sum(there.get(at) != row for at, row in owed.items())
    toll.reused += identity(place) in owed
    toll.begun_anew += bool(outbox.damage)


@pytest.mark.faults
def test_after_a_power_cut_at_any_moment_everything_accepted_is_there(tmp_path: Path, long_run: bool) -> None:
    seed, lives, cuts_each = 5, 40 if long_run else 4, 50
    chance = random.Random(seed)
    started_s = time.monotonic()
    toll = Toll()
    for _ in range(lives):
        with in_memory(tmp_path) as folder:
            steps, history = live(folder, chance, actions=120)
        files, followed = Files(), 0
        for at in sorted(chance.randrange(len(steps)) for _ in range(cuts_each)):
            files.follow(steps[followed:at])
            followed = at
            with in_memory(tmp_path) as folder:
                files.leave(folder, chance)
                if (mark := history.mark(at, chance)) is not None:
                    (folder / MARK).write_bytes(mark)
                come_up(folder, history.owed(at), toll)
    seconds = round(time.monotonic() - started_s, 1)
    tell("G5 power cut", **vars(toll), seconds=seconds, seed=seed)
    assert toll.lost == toll.reused == toll.begun_anew == 0
