"""Goal G30, for the outbox: the n-th thing it asks of the disk fails, for every n, once or from then on."""

from __future__ import annotations

import itertools
import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from appliance.outbox.file import OutboxError
from appliance.outbox.gaps import Dropped
from appliance.outbox.outbox import Outbox
from appliance.outbox.rows import Name
from appliance.result import Spool
from tests.chaos.telling import tell
from tests.outbox_life import Identity, act, announce_all, entry, identity, in_memory, waiting
from tests.sqlite_disk import CANNOT_OPEN, FULL, IO_ERROR, SqliteDisk, Step

NAME = "outbox.db"
QUOTA_BYTES = 1_000_000
ACTIONS = 40
ATTEMPTS = 3
"""To open it again, before the disk is repaired."""


class Trouble:
    """Lets the disk fail at its n-th step and for some steps after."""

    def __init__(self, at: int, steps: int, code: int) -> None:
        self._at, self._end, self._code = at, at + steps, code
        self.done = 0
        self.failed = 0
        self.over = False

    def __call__(self, step: Step) -> int:
        self.done += 1
        if self.over or not self._at <= self.done < self._end:
            return 0
        self.failed += 1
        return CANNOT_OPEN if step.kind == "open" else self._code

    def repair(self) -> None:
        self.over = True


class Noting(Outbox):
    """Remembers what it announced and what was acknowledged: both may be gone before anybody looks."""

    def __init__(self, path: Path, quota_bytes: int) -> None:
        super().__init__(path, quota_bytes)
        self.said: list[Dropped] = []
        self.perhaps_said: dict[Identity, Dropped] = {}
        """Announcements whose commit failed, by the place they would have: some are on the disk all the same."""
        self.acknowledged: dict[Name, int] = {}
        """The highest ever; what is acknowledged may be deleted, and counting it as unsent brings it not back."""

    def acknowledge(self, positions: Mapping[int, int]) -> None:
        super().acknowledge(positions)
        for number, seq in positions.items():
            name = self.stream(number).full_name
            self.acknowledged[name] = max(seq, self.acknowledged.get(name, 0))

    def announce(self, gap: Dropped, encode: Callable[[Spool], bytes]) -> Spool:
        places: list[Spool] = []

        def noting(place: Spool) -> bytes:
            places.append(place)
            return encode(place)

        try:
            spool = super().announce(gap, noting)
        except OutboxError:
            self.perhaps_said |= {identity(place): gap for place in places}
            raise
        self.said.append(gap)
        return spool


class Life:
    """Treats its outbox as the uplink does: after an error it is closed and opened again, and events are handed in
    again."""

    def __init__(self, folder: Path, trouble: Trouble) -> None:
        self.outbox: Noting = Noting(folder / NAME, QUOTA_BYTES)
        self.accepted: dict[Identity, str] = {}
        self.errors: Counter[str] = Counter()
        self._trouble = trouble
        self._numbers = itertools.count()

    def live(self, chance: random.Random, actions: int) -> None:
        self._open()
        for _ in range(actions):
            state, number = chance.getstate(), next(self._numbers)
            while True:
                chance.setstate(state)
                numbers = itertools.count(number)
                try:
                    places = act(self.outbox, chance, numbers)
                    break
                except OutboxError as e:
                    self._lose(e)
            for content, place in zip(itertools.count(number), places, strict=False):
                assert self.accepted.setdefault(identity(place), str(content)) == str(content)
            self._numbers = itertools.count(number + len(places))
        self._trouble.repair()
        self.outbox.close()

    def _open(self) -> None:
        for _ in range(ATTEMPTS):
            try:
                self.outbox.open()
            except OutboxError as e:
                self.errors[str(e).rpartition(": ")[2]] += 1
            else:
                return
        self._trouble.repair()
        self.outbox.open()

    def _lose(self, error: OutboxError) -> None:
        self.errors[str(error).rpartition(": ")[2]] += 1
        self.outbox.close()
        self._open()


def judge(folder: Path, life: Life) -> Counter[str]:
    """Afterwards, on a sound disk: everything accepted is there, was sent, or is announced as gone."""
    toll: Counter[str] = Counter()
    outbox = Noting(folder / NAME, QUOTA_BYTES)
    with outbox:
        toll["begun anew"] += bool(outbox.damage)
        figures = outbox.figures()
        assert figures.accepted == figures.stored + figures.sent + figures.dropped + figures.dead
        announce_all(outbox)
        there = waiting(outbox)
        gone = life.outbox.said + outbox.said
        place = outbox.append([entry("after")])[0]
    toll["reused"] += identity(place) in life.accepted
    gone += [gap for at, gap in life.outbox.perhaps_said.items() if there.get(at, {}).get("type") == "gap"]
    for at, content in life.accepted.items():
        if at in there:
            toll["changed"] += there[at]["content"] != content
        elif at[2] > life.outbox.acknowledged.get(at[:2], 0) and not any(covers(gap, at) for gap in gone):
            toll["lost"] += 1
    contents = Counter(document["content"] for document in there.values() if "content" in document)
    toll["twice"] += sum(count - 1 for count in contents.values())
    return toll


def covers(gap: Dropped, at: Identity) -> bool:
    return (gap.name, gap.epoch) == at[:2] and gap.first <= at[2] <= gap.last


def steps_of_a_life(tmp_path: Path) -> int:
    trouble = Trouble(at=0, steps=0, code=0)
    with in_memory(tmp_path) as folder, SqliteDisk(trouble, record=False):
        Life(folder, trouble).live(random.Random(1), ACTIONS)
    return trouble.done


@pytest.mark.faults
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("code", [FULL, IO_ERROR], ids=["disk full", "disk error"])
def test_whatever_fails_at_whatever_moment_nothing_accepted_is_lost(tmp_path: Path, long_run: bool, code: int) -> None:
    started_s = time.monotonic()
    toll: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    steps = steps_of_a_life(tmp_path)
    stride = 1 if long_run else 31
    for at, length in itertools.product(range(1, steps + 1, stride), (1, 5, 10_000)):
        trouble = Trouble(at, length, code)
        with in_memory(tmp_path) as folder:
            with SqliteDisk(trouble, record=False):
                life = Life(folder, trouble)
                life.live(random.Random(1), ACTIONS)
            toll["runs"] += 1
            toll["failed steps"] += trouble.failed
            toll["accepted"] += len(life.accepted)
            found = judge(folder, life)
            toll += found
            errors += life.errors
    seconds = round(time.monotonic() - started_s, 1)
    kept = {name: toll[name] for name in ("runs", "lost", "changed", "reused", "twice")}
    tell("G30 fault sweep", None, **kept, code=code, steps=steps, toll=dict(toll), errors=dict(errors), seconds=seconds)
    assert toll["failed steps"] > toll["runs"]
    assert not toll["lost"] + toll["changed"] + toll["reused"] + toll["begun anew"] + toll["twice"]


def hand_in(outbox: Outbox, contents: list[str]) -> None:
    """What was not accepted is handed in again."""
    while contents:
        try:
            places = outbox.append([entry(content, fill=3000) for content in contents])
        except OutboxError:
            outbox.close()
            outbox.open()
        else:
            contents = contents[len(places) :]


@pytest.mark.faults
@pytest.mark.parametrize("code", [FULL, IO_ERROR], ids=["disk full", "disk error"])
def test_a_group_that_is_split_and_then_fails_gives_no_document_two_identities(tmp_path: Path, code: int) -> None:
    """Alarms leave no more room than for its first half; after that the disk fails."""
    contents = [str(number) for number in range(64)]
    with Outbox(tmp_path / NAME, QUOTA_BYTES) as outbox:
        while outbox.figures().used_bytes < 550_000:
            outbox.append([entry("alarm", priority=2, fill=9000) for _ in range(4)])
        alarms = outbox.figures().accepted
    failed = 0
    for at in itertools.count(1, 3):
        trouble = Trouble(at, 1, code)
        trouble.over = True
        with in_memory(tmp_path) as folder:
            shutil.copytree(tmp_path, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.ballast"))
            with SqliteDisk(trouble, record=False), Outbox(folder / NAME, QUOTA_BYTES) as outbox:
                trouble.done, trouble.over = 0, False
                hand_in(outbox, contents)
                figures, stored = outbox.figures(), len(waiting(outbox)) - alarms
        taken_back = (figures.dropped_by_reason or {}).get("handed in again after a disk error", 0)
        assert figures.accepted - taken_back == alarms + len(contents), f"step {at}"
        assert 20 < stored < len(contents), "the group was split"
        failed += trouble.failed
        if not trouble.failed:
            break
    assert failed > 10
