"""A journal is whole up to any moment at which its writer ends."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from appliance.recorder import journal
from appliance.recorder.journal import Journal, JournalError
from tests.recordings import entry, event


def written(path: Path, count: int = 5) -> bytes:
    with Journal(path, b'{"name":"a"}') as book:
        for seq in range(count):
            book.add(entry(seq, seq / 10, event(seq), memory=seq == 0))
        assert book.bytes == path.stat().st_size
    return path.read_bytes()


def test_what_was_added_is_read_again_to_the_last_digit(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    written(path)
    reading = journal.read(path)
    assert reading.head == b'{"name":"a"}'
    assert list(journal.data_of(path, reading)) == [
        entry(seq, seq / 10, event(seq), memory=seq == 0) for seq in range(5)
    ]


def test_cut_at_any_byte_it_holds_every_record_before(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    content = written(path)
    whole = journal.read(path)
    ends = [offset + length for offset, length in whole.places]
    for cut in random.Random(1).sample(range(200, len(content)), 60):
        path.write_bytes(content[:cut])
        reading = journal.read(path)
        assert len(reading.entries) == sum(end <= cut for end in ends)


def test_a_damaged_record_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    content = bytearray(written(path))
    offset, length = journal.read(path).places[2]
    content[offset + length // 2] ^= 1
    path.write_bytes(bytes(content))
    assert len(journal.read(path).entries) == 2


@pytest.mark.parametrize("content", [b"", b"\0" * 11, b"\xff" * 64, b"no journal at all"])
def test_a_file_without_a_whole_head_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.part"
    path.write_bytes(content)
    with pytest.raises(JournalError):
        journal.read(path)
