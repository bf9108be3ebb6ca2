"""Bytes set aside for the moment when the disk is full."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.outbox.ballast import Ballast
from tests.disks import fill, small_disk

SIZE_BYTES = 1 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Of 4 MiB."""
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def test_the_reserve_takes_real_space_and_gives_it_back(disk: Path) -> None:
    before = free_bytes(disk)
    ballast = Ballast(disk / "ballast", SIZE_BYTES)
    assert ballast.lay()
    assert before - free_bytes(disk) == SIZE_BYTES
    assert ballast.lay()
    assert before - free_bytes(disk) == SIZE_BYTES, "once is enough"
    ballast.release()
    assert free_bytes(disk) == before


def test_a_reserve_that_would_fill_the_disk_is_not_held(disk: Path) -> None:
    ballast = Ballast(disk / "ballast", SIZE_BYTES)
    others = fill(disk)
    os.truncate(others, others.stat().st_size - 2 * SIZE_BYTES + 4096)
    assert not ballast.lay()
    assert free_bytes(disk) == 2 * SIZE_BYTES - 4096
    os.truncate(others, others.stat().st_size - 4096)
    assert ballast.lay()


def test_what_is_left_is_held_rather_than_nothing(disk: Path) -> None:
    others = fill(disk)
    os.truncate(others, others.stat().st_size - SIZE_BYTES // 2)
    ballast = Ballast(disk / "ballast", SIZE_BYTES)
    ballast.lay_what_fits()
    assert free_bytes(disk) == 0
    ballast.release()
    assert free_bytes(disk) == SIZE_BYTES // 2


def test_a_disk_is_full_when_less_is_free_than_the_reserve_holds(disk: Path) -> None:
    ballast = Ballast(disk / "ballast", SIZE_BYTES)
    others = fill(disk)
    full_bytes = others.stat().st_size
    answers = {}
    for free in (0, SIZE_BYTES - 4096, SIZE_BYTES, 2 * SIZE_BYTES):
        os.truncate(others, full_bytes - free)
        answers[free] = ballast.disk_is_full
    assert answers == {0: True, SIZE_BYTES - 4096: True, SIZE_BYTES: False, 2 * SIZE_BYTES: False}


def test_a_folder_that_is_gone_is_no_error_and_a_refusal_is_told_once(
    disk: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Ballast(tmp_path / "gone" / "ballast", SIZE_BYTES)
    assert nowhere.disk_is_full
    assert not nowhere.lay()
    nowhere.lay_what_fits()
    nowhere.release()

    (disk / "ballast").mkdir()
    with caplog.at_level(logging.WARNING):
        refused = Ballast(disk / "ballast", SIZE_BYTES)
        assert not refused.lay()
        refused.lay()
    assert len({record.getMessage() for record in caplog.records}) == len(caplog.records) > 0
