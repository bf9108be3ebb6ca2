"""How many numbers were given, noted beside the database."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from appliance.outbox.high_water import HighWater, Mark
from appliance.outbox.outbox import Outbox
from tests.disks import fill, small_disk
from tests.outbox_life import entry, waiting

MARK = Mark("0123456789ab", 1234)


@pytest.fixture
def high_water(tmp_path: Path) -> Iterator[HighWater]:
    with closing(HighWater(tmp_path / "mark")) as high_water:
        yield high_water


def test_what_was_noted_is_read_again(high_water: HighWater) -> None:
    assert high_water.read() is None
    high_water.begin(MARK)
    assert high_water.read() == MARK
    for accepted in (1235, 99_999_999_999, 7):
        high_water.write(Mark(MARK.epoch, accepted))
        assert high_water.read() == Mark(MARK.epoch, accepted)


def test_a_mark_with_any_single_bit_flipped_is_no_mark() -> None:
    content = MARK.to_bytes()
    assert Mark.from_bytes(content) == MARK
    for place in range(len(content) * 8):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        assert Mark.from_bytes(bytes(damaged)) is None


@pytest.mark.parametrize("content", [b"", b"\0" * 64, MARK.to_bytes()[:-1], MARK.to_bytes() + b"\n", b"\xff" * 64])
def test_a_file_of_any_other_content_is_no_mark(tmp_path: Path, high_water: HighWater, content: bytes) -> None:
    (tmp_path / "mark").write_bytes(content)
    assert high_water.read() is None


def test_what_is_no_file_is_no_mark_and_is_moved_out_of_the_way(tmp_path: Path, high_water: HighWater) -> None:
    os.mkfifo(tmp_path / "mark")
    assert high_water.read() is None, "and nobody waits for a writer"
    high_water.begin(MARK)
    assert high_water.read() == MARK
    assert (tmp_path / "mark.moved").is_fifo()


def test_a_longer_file_is_cut_to_the_mark(tmp_path: Path, high_water: HighWater) -> None:
    (tmp_path / "mark").write_bytes(b"x" * 1000)
    high_water.begin(MARK)
    assert (tmp_path / "mark").read_bytes() == MARK.to_bytes()


def test_a_full_disk_can_still_be_marked(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder, closing(HighWater(folder / "mark")) as high_water:
        high_water.begin(MARK)
        fill(folder)
        high_water.write(Mark(MARK.epoch, 5678))
        assert high_water.read() == Mark(MARK.epoch, 5678)


def test_the_mark_says_at_every_moment_how_many_numbers_an_outbox_has_given(tmp_path: Path) -> None:
    mark = HighWater(tmp_path / "outbox.db.mark")
    with Outbox(tmp_path / "outbox.db", 1 << 20) as outbox:
        for count in (1, 64, 1, 200):
            outbox.append([entry("x", stream="people") for _ in range(count)])
            outbox.append([entry("x", stream="cars", fill=500_000)])  # too large: given a number, and dropped
            assert mark.read() == Mark(outbox.epoch, outbox.figures().accepted)


def test_only_the_mark_tells_that_a_log_has_lost_its_end(tmp_path: Path) -> None:
    folder, crashed = tmp_path / "outbox", tmp_path / "crashed"
    with Outbox(folder / "outbox.db") as outbox:
        outbox.append([entry("before") for _ in range(10)])
        shutil.copytree(folder, crashed)
        outbox.append([entry("after") for _ in range(10)])
        shutil.copy(folder / "outbox.db.mark", crashed)
        epoch = outbox.epoch
    with Outbox(crashed / "outbox.db") as outbox:
        assert "it has lost its newest part: 10 accepted, 20 marked" in outbox.damage
        assert outbox.epoch != epoch
        assert {(place[1], place[2]) for place in waiting(outbox)} == {(epoch, seq) for seq in range(1, 11)}
