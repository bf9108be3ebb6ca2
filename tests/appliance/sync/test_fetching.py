"""What travels, and what does not have to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sync.budget import Budget
from appliance.sync.carrier import CarrierError, Piece
from appliance.sync.mqtt_carrier import WINDOW
from appliance.sync.pieces import PIECE_BYTES
from appliance.sync.published import CHUNK_BYTES
from tests.appliance.sync.world import Device, Hands
from tests.chaos.telling import tell
from tests.registries import Owner, as_version, noise, shipped

pytestmark = pytest.mark.system

SIZE = 8 * CHUNK_BYTES + 100


@pytest.fixture
def content(owner: Owner, tmp_path: Path) -> bytes:
    made = noise(SIZE)
    owner.publish(as_version(shipped("shapes"), "1", tmp_path / "bundles", made))
    return made


def test_chunks_of_an_installed_version_are_copied_and_only_the_others_travel(
    owner: Owner, hands: Hands, device: Device, content: bytes, tmp_path: Path
) -> None:
    installed = tuple(device.pull("shapes@1").values())
    changed = content[: 3 * CHUNK_BYTES] + noise(CHUNK_BYTES, 7) + content[4 * CHUNK_BYTES :]
    owner.publish(as_version(shipped("shapes"), "2", tmp_path / "bundles", changed))
    kept = [path.rename(tmp_path / path.name) for path in installed if path.exists()]
    hands.given_bytes = 0
    assert device.pull("shapes@2", tuple(kept))["extra.bin"].read_bytes() == changed
    manifest = next((owner.folder / "targets/shapes/2").glob("*.bundle.json")).stat().st_size
    assert hands.given_bytes == CHUNK_BYTES + manifest
    tell("G17 one chunk changed", share_of_changed=round(hands.given_bytes / CHUNK_BYTES, 4))


def test_what_came_before_a_cut_does_not_travel_again(hands: Hands, device: Device, content: bytes) -> None:
    cut_at = 5 * CHUNK_BYTES

    def cut(path: str, offset: int, piece: Piece) -> Piece:
        if "extra" in path and offset >= cut_at:
            raise OSError("the line is cut")
        return piece

    hands.changed = cut
    device.tries = 1
    with pytest.raises(CarrierError):
        device.pull("shapes@1")
    hands.changed = lambda _path, _offset, piece: piece
    hands.given_bytes = 0
    assert device.pull("shapes@1")["extra.bin"].read_bytes() == content
    # Pieces that were on their way when the line was cut are asked for once more.
    assert hands.given_bytes <= SIZE - cut_at + WINDOW * PIECE_BYTES


def test_a_chunk_that_was_damaged_on_the_disk_is_fetched_again_alone(
    hands: Hands, device: Device, content: bytes
) -> None:
    path = device.pull("shapes@1")["extra.bin"]
    with path.open("r+b") as file:
        file.seek(2 * CHUNK_BYTES + 17)
        file.write(b"damage")
    hands.given_bytes = 0
    assert device.pull("shapes@1")["extra.bin"].read_bytes() == content
    assert hands.given_bytes == CHUNK_BYTES


def test_a_part_that_is_too_long_or_torn_becomes_what_was_signed(device: Device, content: bytes) -> None:
    path = device.pull("shapes@1")["extra.bin"]
    for size in (SIZE + 5000, SIZE - 5000, 0):
        os.truncate(path, size)
        assert device.pull("shapes@1")["extra.bin"].read_bytes() == content


def test_a_chunk_that_comes_damaged_once_is_asked_for_again(hands: Hands, device: Device, content: bytes) -> None:
    spoiled: Iterator[bool] = iter([True] * 2)

    def once(path: str, _offset: int, piece: Piece) -> Piece:
        bad = "extra" in path and piece.content and next(spoiled, False)
        return Piece(bytes(len(piece.content)), piece.total) if bad else piece

    hands.changed = once
    assert device.pull("shapes@1")["extra.bin"].read_bytes() == content


def test_a_disk_without_room_is_said_before_anything_travels(
    device: Device, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: _Full)
    with pytest.raises(OSError, match="0 MB are free"):
        device.pull("shapes@1")


class _Full:
    free = 0


def test_a_budget_is_kept_over_any_time_longer_than_a_second() -> None:
    now_s, waited = [0.0], [0.0]

    def wait(seconds: float) -> None:
        now_s[0] += seconds
        waited[0] += seconds

    budget = Budget(1000.0, wait, lambda: now_s[0])
    for _ in range(100):
        budget.spend(500)
    assert 49.0 <= now_s[0] <= 51.0
    now_s[0] += 100.0  # nothing travels for a while: that is not saved up
    before = waited[0]
    budget.spend(10_000)
    assert waited[0] - before == pytest.approx(9.0)


def test_without_a_budget_nothing_waits() -> None:
    budget = Budget(None, lambda _s: pytest.fail("waited"))
    budget.spend(1 << 40)
