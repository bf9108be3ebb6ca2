"""The folder of clips: budget, age, and what a kill leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from appliance.recorder.shelf import clips, find
from tests.recordings import developed, entry, event, shelf_at, write_part

SCENE = [entry(seq, seq / 10, *([event(seq)] if seq == 3 else []), memory=seq == 0) for seq in range(10)]


def names(folder: Path) -> set[str]:
    return {path.name.partition(".")[0][:8] for path in folder.iterdir()}


def test_a_clip_is_listed_with_what_was_new_in_it(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    made = developed(shelf, SCENE)
    assert clips(tmp_path) == [made]
    assert (made.labels, made.events, made.answers, made.kept) == (("red",), ("e1",), 10, 10)
    assert made.seconds == 0.9
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jpg", ".json", ".jsonl", ".webm"]
    assert shelf.bytes() == sum(path.stat().st_size for path in tmp_path.iterdir())


def test_the_oldest_go_first_and_the_budget_holds(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    developed(shelf, SCENE)
    size = shelf.bytes()
    shelf = shelf_at(tmp_path, max_bytes=int(3.5 * size))
    for _ in range(4):
        assert shelf.make_room(size)
        developed(shelf, SCENE)
        assert shelf.bytes() <= 3.5 * size
    assert sorted(names(tmp_path))[-2:] == ["00000004", "00000005"]
    assert not {"00000001", "00000002"} & names(tmp_path)
    assert not shelf.make_room(10 * size), "more than the whole budget"


def test_what_is_being_worked_on_is_never_deleted(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path)
    part = write_part(shelf, SCENE)
    shelf.busy.add(part.stem)
    made = developed(shelf, SCENE)
    shelf = shelf_at(tmp_path, max_bytes=part.stat().st_size + 10)
    shelf.busy.add(part.stem)
    assert not shelf.make_room(11)
    assert part.exists()
    assert find(tmp_path, made.name) is None


def test_clips_older_than_they_may_get_are_deleted(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path, keep_s=100.0)
    old, new = developed(shelf, SCENE), developed(shelf, SCENE)
    os.utime(tmp_path / f"{old.name}.json", (1000, 1000))
    os.utime(tmp_path / f"{new.name}.json", (1200, 1200))
    assert shelf.expire(now_s=1250.0) == 1
    assert clips(tmp_path) == [new]


def test_a_clip_of_before_the_clock_was_set_is_as_old_as_it_is(tmp_path: Path) -> None:
    shelf = shelf_at(tmp_path, keep_s=100.0)
    made = developed(shelf, SCENE)
    shelf.settle(made.name, dated=False)
    os.utime(tmp_path / f"{made.name}.json", (1000, 1000))
    assert shelf.expire(now_s=1_800_000_000.0) == 0
    assert shelf.expire(now_s=1_800_000_000.0 + 101) == 1


def test_numbers_go_on_counting_whatever_the_clock_says(tmp_path: Path) -> None:
    first = developed(shelf_at(tmp_path), SCENE)
    early = [entry(seq, seq / 10 - 1e9, data=each.data) for seq, each in enumerate(SCENE)]
    second = developed(shelf_at(tmp_path), early)
    assert second.name > first.name
    assert second.began_at < first.began_at


def test_files_that_nobody_can_use_are_taken_away_at_the_start(tmp_path: Path) -> None:
    made = developed(shelf_at(tmp_path), SCENE)
    for name in ("00000007-20270115T080000Z.webm", "00000007-20270115T080000Z.jsonl", f"{made.name}.draft.webm"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "somebody-elses.txt").write_bytes(b"x")
    shelf = shelf_at(tmp_path)
    assert names(tmp_path) == {"00000001", "somebody"}
    assert clips(tmp_path) == [made]
    assert shelf.begin(0).startswith("00000008")


@pytest.mark.parametrize("name", ["../secret", "00000001-20270115T080000Z/../x", "", "00000001", "a" * 5000, "\0"])
def test_what_is_no_name_of_a_clip_is_not_even_looked_for(tmp_path: Path, name: str) -> None:
    assert find(tmp_path, name) is None
