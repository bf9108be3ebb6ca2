"""Kept samples on the disk: whole or not there, within their bounds, and never two of one number."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.harvest.books import Books, from_json, to_json
from appliance.harvest.store import BOOKS, NoRoom, read
from appliance.harvest.store import kept as names
from tests.appliance.harvest.samples import PICTURE, T0_S, kept, sample, store
from tests.disks import fill, small_disk

DAY_S = 86_400.0


def test_a_sample_is_two_plain_files_that_can_be_read_again(tmp_path: Path) -> None:
    [about] = kept(store(tmp_path / "s"))
    assert about.name == "00000001-20270115T080000Z"
    assert {path.name for path in (tmp_path / "s").iterdir()} == {f"{about.name}.jpg", f"{about.name}.json", BOOKS}
    assert read(tmp_path / "s", about.name) == (about, PICTURE)


def test_numbers_go_on_after_everything_was_taken_and_the_process_ended(tmp_path: Path) -> None:
    first = store(tmp_path / "s")
    for about in kept(first, 3):
        first.remove(about.name)
    [after] = kept(store(tmp_path / "s"))
    assert after.number == 4
    assert after.series == first.books.series


def test_books_that_are_damaged_begin_a_new_series_behind_what_is_there(tmp_path: Path) -> None:
    before = store(tmp_path / "s")
    kept(before, 3)
    (tmp_path / "s" / BOOKS).write_bytes(b"{")
    after = store(tmp_path / "s")
    assert after.books.series != before.books.series
    assert kept(after)[0].number == 4


def test_the_day_has_its_budget_and_the_next_one_its_own(tmp_path: Path) -> None:
    by_count, by_size = store(tmp_path / "a", per_day=2), store(tmp_path / "b", bytes_per_day=2 * len(PICTURE) + 1)
    for each in (by_count, by_size):
        kept(each, 2)
        with pytest.raises(NoRoom, match="the day's budget is spent"):
            kept(each)
        kept(each, 2, unix_s=T0_S + DAY_S)
        assert len(each) == 4


def test_the_budget_outlives_the_process(tmp_path: Path) -> None:
    kept(store(tmp_path / "s", per_day=2), 2)
    with pytest.raises(NoRoom):
        kept(store(tmp_path / "s", per_day=2))


def test_the_oldest_give_way_to_the_newest(tmp_path: Path) -> None:
    made = store(tmp_path / "s", most_bytes=20_000)
    abouts = kept(made, 6)
    assert made.size <= 20_000
    assert 1 < len(made) < 6
    assert list(names(tmp_path / "s")) == [each.name for each in abouts][-len(made) :]


def test_what_is_larger_than_all_of_it_deletes_nothing(tmp_path: Path) -> None:
    made = store(tmp_path / "s", most_bytes=60_000)
    kept(made, 2)
    with pytest.raises(NoRoom, match="max_mb"):
        kept(made, data=b"\xff\xd8\xff" + bytes(70_000))
    assert len(made) == 2


def test_what_was_left_unfinished_is_taken_away_at_the_next_start(tmp_path: Path) -> None:
    made = store(tmp_path / "s")
    [whole] = kept(made)
    series, name = made.begin(len(PICTURE), T0_S)
    (tmp_path / "s" / f"{name}.jpg").write_bytes(PICTURE[:9])
    (tmp_path / "s" / f".new-{name}.json-00").write_bytes(b"{")
    again = store(tmp_path / "s")
    assert len(again) == 1
    assert {path.name for path in (tmp_path / "s").iterdir()} == {f"{whole.name}.jpg", f"{whole.name}.json", BOOKS}
    again.add(sample(series, name), PICTURE)


def test_a_sample_of_before_the_clock_was_set_is_as_old_as_it_is(tmp_path: Path) -> None:
    made = store(tmp_path / "s", keep_s=100.0)
    series, name = made.begin(len(PICTURE), 1000.0)
    made.add(replace(sample(series, name), clock="unsynced"), PICTURE)
    os.utime(tmp_path / "s" / f"{name}.json", (1000, 1000))
    assert made.expire(T0_S) == 0
    assert made.expire(T0_S + 101) == 1


def test_old_ones_are_deleted_and_what_a_person_took_is_not_missed(tmp_path: Path) -> None:
    made = store(tmp_path / "s", keep_s=100.0)
    gone, _ = kept(made, 2)
    (tmp_path / "s" / f"{gone.name}.json").unlink()
    assert made.read(gone.name) is None
    made.look()
    assert len(made) == 1
    path = tmp_path / "s" / f"{made.oldest}.json"
    assert made.expire(path.stat().st_mtime + 99) == 0
    assert made.expire(path.stat().st_mtime + 101) == 1
    assert not list(names(tmp_path / "s"))


@pytest.mark.faults
def test_a_full_disk_leaves_nothing_half_written_and_room_lets_it_go_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        made = store(disk / "s")
        kept(made)
        filler = fill(disk)
        with pytest.raises(OSError, match=r"full|No space"):
            kept(made)
        assert len(list(names(disk / "s"))) == len(made) == 1
        filler.unlink()
        kept(made)
        assert len(made) == 2


@pytest.mark.faults
def test_a_disk_that_fills_in_the_middle_of_a_sample_loses_that_one_only(tmp_path: Path) -> None:
    """Between `begin`, which found room, and `add`."""
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        made = store(disk / "s")
        [first] = kept(made)
        series, name = made.begin(len(PICTURE), T0_S)
        fill(disk)
        with pytest.raises(OSError, match="No space"):
            made.add(sample(series, name), PICTURE)
        assert {path.name for path in (disk / "s").iterdir()} == {f"{first.name}.jpg", f"{first.name}.json", BOOKS}


@pytest.mark.parametrize("text", [b"", b"[]", b'{"series": 1}', b'{"series": "zz", "number": 1}', b'{"number": 2}'])
def test_books_that_are_none_are_none(text: bytes) -> None:
    assert from_json(text) is None


def test_books_come_back_as_they_were() -> None:
    books = Books.begin(7).spent(100, T0_S)
    assert from_json(to_json(books)) == books
    assert books.left(T0_S, 10, 1000) == (9, 900)
    assert books.left(T0_S + DAY_S, 10, 1000) == (10, 1000)
