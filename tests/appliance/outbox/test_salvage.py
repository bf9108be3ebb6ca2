"""What can be read of a damaged outbox, and that nothing else is taken for it."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from appliance.outbox.outbox import Outbox
from appliance.outbox.salvage import remains, salvage
from appliance.outbox.sqlite_pages import PAGE_BYTES
from tests.outbox_life import Identity, entry, waiting

Found: TypeAlias = "dict[Identity, bytes]"

NAME = "outbox.db"
FILLS = (50, 300, 3000, 20_000)
"""From several documents in a page to several pages for a document."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Found, Found]:
    """The files that a kill -9 leaves, some of it in the log; every unsent document, and every one ever."""
    ever: Found = {}
    folder = tmp_path_factory.mktemp("salvage")
    with Outbox(folder / "work" / NAME) as outbox:
        for first in range(0, 400, 20):
            outbox.append([entry(str(n), stream=("people", "cars")[n % 2], fill=FILLS[n // 2 % 4]) for n in range(20)])
            ever |= payloads(outbox)
            outbox.acknowledge({1: first // 4, 2: first // 8})
        outbox.release(1, 50)
        shutil.copytree(folder / "work", folder / "killed")
        unsent = payloads(outbox)
    assert (folder / "killed" / f"{NAME}-wal").stat().st_size
    return folder / "killed", unsent, ever


def payloads(outbox: Outbox) -> Found:
    return {
        (stream.name, stream.epoch, kept.seq): kept.payload
        for stream in outbox.streams()
        for kept in outbox.read(stream.number, stream.acknowledged, most=100_000, most_bytes=1 << 30)
    }


def salvaged(folder: Path) -> Found:
    path = folder / NAME
    return {
        (stream.name, stream.epoch, document.seq): document.payload for stream, document in salvage(path, remains(path))
    }


@pytest.fixture
def copy(killed: tuple[Path, Found, Found], tmp_path: Path) -> Path:
    """The files, to be damaged."""
    return shutil.copytree(killed[0], tmp_path / "copy")


def overwrite(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def test_of_a_sound_file_everything_unsent_is_found_and_nothing_else(killed: tuple[Path, Found, Found]) -> None:
    folder, unsent, _ = killed
    assert salvaged(folder) == unsent
    assert len(unsent) > 250


def test_rows_are_found_without_the_roots_of_their_trees(killed: tuple[Path, Found, Found], copy: Path) -> None:
    """The first page, with the schema, is gone from the file and from the log's header on."""
    overwrite(copy / NAME, 0, bytes(PAGE_BYTES))
    assert salvaged(copy) == killed[1]


def test_a_lost_log_costs_what_was_only_there(killed: tuple[Path, Found, Found], copy: Path) -> None:
    (copy / f"{NAME}-wal").unlink()
    found = salvaged(copy)
    assert found.items() < killed[2].items()
    assert found


def test_every_stream_is_found_once_under_its_number(killed: tuple[Path, Found, Found]) -> None:
    names = {name for name, _ in remains(killed[0] / NAME).streams}
    assert names == {"people", "cars"}
    assert all(len(known) == 1 for known in remains(killed[0] / NAME).numbers.values())


@pytest.mark.parametrize("seed", range(20))
def test_no_damage_makes_it_give_a_document_another_content(
    killed: tuple[Path, Found, Found], copy: Path, seed: int
) -> None:
    chance = random.Random(seed)
    for name in (NAME, f"{NAME}-wal"):
        content = bytearray((copy / name).read_bytes())
        for _ in range(chance.choice((1, 100, 5000))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        (copy / name).write_bytes(content)
    assert salvaged(copy).items() <= killed[2].items()


def test_a_long_document_whose_rest_is_lost_is_not_there_and_the_others_are(
    killed: tuple[Path, Found, Found], copy: Path
) -> None:
    """Overflow pages hold payload only: wiping those that hold one text in the middle."""
    identity, payload = max(killed[1].items(), key=lambda item: len(item[1]))
    mark = payload[:100]
    for name in (NAME, f"{NAME}-wal"):
        content = (copy / name).read_bytes()
        at = content.find(mark)
        while at >= 0:
            overwrite(copy / name, at, b"?" * len(mark))
            at = content.find(mark, at + 1)
    found = salvaged(copy)
    assert identity not in found
    assert len(found) == len(killed[1]) - 1
    assert found.items() < killed[1].items()


def nothing(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def noise(path: Path) -> None:
    path.write_bytes(random.Random(1).randbytes(1 << 20))


@pytest.mark.parametrize("become", [nothing, empty, folder, pipe, noise])
def test_where_nothing_is_nothing_is_found(copy: Path, become: Callable[[Path], None]) -> None:
    become(copy / NAME)
    (copy / f"{NAME}-wal").unlink()
    assert salvaged(copy) == {}
    with Outbox(copy / NAME) as outbox:
        assert outbox.damage
        assert waiting(outbox) == {}
        assert outbox.append([entry("after")])[0].seq == 1
