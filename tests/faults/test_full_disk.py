"""Goal G6: the disk is full, by our own doing or by somebody else's."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.outbox.outbox import Entry, Outbox
from appliance.result import Gap, Spool, to_json
from appliance.uplink.outgoing import Publish
from tests.appliance_process import ApplianceProcess
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.disks import fill, small_disk
from tests.uplinks import TOPICS, Listener, Running, connected, settings, spool
from tests.waiting import until

PAYLOAD_BYTES = 300


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB of its own."""
    with small_disk(tmp_path / "disk") as folder:
        yield folder


def entry(number: int, priority: int, stream: str = "people") -> Entry:
    def encode(spool: Spool) -> bytes:
        return json.dumps({"n": number, "priority": priority, "seq": spool.seq, "fill": "x" * PAYLOAD_BYTES}).encode()

    return Entry(stream, f"t/{stream}", priority, encode)


def priority_of(number: int) -> int:
    return 2 if number % 10 == 0 else 1


def announce_all(outbox: Outbox) -> None:
    for gap in outbox.gaps():

        def encode(spool: Spool, gap: Any = gap) -> bytes:
            at = "2026-01-01T00:00:00.000000Z"
            return to_json(Gap("dock-1", gap.first, gap.last, gap.count, gap.reason, at, spool=spool))

        outbox.announce(gap, encode)


def drain(outbox: Outbox) -> list[dict[str, Any]]:
    """Everything as a receiver would get it, gaps announced on the way, as the uplink does."""
    documents: list[dict[str, Any]] = []
    announce_all(outbox)
    while rows := [
        row
        for stream in outbox.streams()
        for row in outbox.read(stream.number, stream.acknowledged, most=200, most_bytes=1 << 20)
    ]:
        documents += [json.loads(row.payload) for row in rows]
        outbox.acknowledge({row.stream: row.seq for row in rows})
        for row in rows:
            outbox.release(row.stream, row.seq)
        announce_all(outbox)
    return documents


def judge(outbox: Outbox, appended: int) -> dict[str, int]:
    """The books balance, what is gone was the oldest of the lowest priority, and all of it is announced."""
    figures = outbox.figures()
    assert figures.accepted == figures.stored + figures.sent + figures.dropped + figures.dead
    documents = drain(outbox)
    events = [document for document in documents if "n" in document]
    gaps = [document for document in documents if document.get("type") == "gap"]
    numbers = [document["n"] for document in events]
    assert numbers == sorted(numbers)
    after = outbox.figures()
    assert after.stored == 0
    assert after.accepted == after.sent + after.dropped + after.dead
    assert after.sent == len(documents)
    announced = sum(gap["count"] for gap in gaps)
    assert announced == after.dropped == appended - len(events)
    low = [number for number in range(appended) if priority_of(number) == 1]
    kept_low = [number for number in numbers if priority_of(number) == 1]
    assert kept_low == low[len(low) - len(kept_low) :], "only the oldest of the lowest priority may go"
    high = [number for number in range(appended) if priority_of(number) == 2]
    kept_high = [number for number in numbers if priority_of(number) == 2]
    assert kept_high == high[len(high) - len(kept_high) :]
    return {
        "appends": appended,
        "kept": len(events),
        "kept_high": len(kept_high),
        "dropped": after.dropped,
        "announced_in": len(gaps),
        "unannounced": after.dropped - announced,
    }


@pytest.mark.faults
def test_an_outbox_that_fills_its_disk_drops_the_oldest_and_goes_on(disk: Path) -> None:
    with Outbox(disk / "outbox.sqlite") as outbox:
        for first in range(0, 10_000, 50):
            assert len(outbox.append([entry(n, priority_of(n)) for n in range(first, first + 50)])) == 50
        assert outbox.figures().disk_full
        figures = judge(outbox, 10_000)
    tell("G6 fills its own disk", None, **figures)
    assert figures["kept"] > 1000
    assert figures["kept_high"] == 1000


@pytest.mark.faults
@pytest.mark.parametrize("before", [0, 50, 3000], ids=["from the start", "soon", "later"])
def test_a_disk_filled_by_somebody_else_rejects_nothing(disk: Path, before: int) -> None:
    path = disk / "outbox.sqlite"
    with Outbox(path) as outbox:
        for first in range(0, before, 50):
            outbox.append([entry(n, priority_of(n)) for n in range(first, first + 50)])
        fill(disk)
        for first in range(before, 9000, 50):
            assert len(outbox.append([entry(n, priority_of(n)) for n in range(first, first + 50)])) == 50
            if first % 1000 == 0:
                announce_all(outbox)
                fill(disk)  # whatever we gave up, somebody else takes
    fill(disk)
    with Outbox(path) as outbox:
        assert outbox.damage == ""
        for first in range(9000, 10_000, 50):
            outbox.append([entry(n, priority_of(n)) for n in range(first, first + 50)])
        figures = judge(outbox, 10_000)
    tell("G6 somebody fills the disk", None, appended_before=before, **figures)
    assert figures["kept"] > 200


@pytest.mark.faults
def test_when_space_returns_the_outbox_grows_again(disk: Path) -> None:
    with Outbox(disk / "outbox.sqlite") as outbox:
        others = fill(disk)
        for first in range(0, 2000, 50):
            outbox.append([entry(n, 1) for n in range(first, first + 50)])
        assert outbox.figures().disk_full
        others.unlink()
        outbox.settle()
        assert not outbox.figures().disk_full
        before = outbox.figures().stored
        outbox.append([entry(n, 1) for n in range(2000, 2050)])
        assert outbox.figures().stored == before + 50
        dropped = outbox.figures().dropped
        for first in range(2050, 4050, 50):
            outbox.append([entry(n, 1) for n in range(first, first + 50)])
        assert outbox.figures().dropped == dropped


@pytest.mark.faults
@pytest.mark.parametrize("free_kib", [300, 600, 1200, 3000])
def test_an_outbox_whose_log_was_taken_by_somebody_too_still_makes_room(disk: Path, free_kib: int) -> None:
    """A log of ten pages holds neither a whole batch of evictions nor much after it."""
    others = fill(disk)
    os.truncate(others, others.stat().st_size - (free_kib << 10))
    appended = 0
    for _ in range(3):
        with Outbox(disk / "outbox.sqlite", 1_000_000) as outbox:
            for _ in range(5):
                appended += len(outbox.append([entry(n, priority_of(n)) for n in range(appended, appended + 40)]))
                fill(disk)
                stream = outbox.stream(1)
                outbox.read(1, stream.acknowledged, most=5, most_bytes=1 << 20)
                outbox.settle()
                outbox.acknowledge({1: stream.acknowledged + 1})
                outbox.release(1, outbox.stream(1).acknowledged - 3)
                announce_all(outbox)
            figures = outbox.figures()
    assert appended == 600
    assert figures.accepted == figures.stored + figures.sent + figures.dropped
    assert figures.stored > 10


@pytest.mark.faults
def test_less_important_events_give_way_to_nothing_but_themselves(disk: Path) -> None:
    with Outbox(disk / "outbox.sqlite") as outbox:
        while not outbox.figures().disk_full:
            outbox.append([entry(n, 2) for n in range(50)])
        figures = outbox.figures()
        for _ in range(10):
            outbox.append([entry(n, 0) for n in range(50)])
        after = outbox.figures()
        assert after.accepted == after.stored + after.dropped == figures.accepted + 500
        rows = outbox.read(1, 0, most=100_000, most_bytes=1 << 30)
        assert sum(json.loads(row.payload)["priority"] == 2 for row in rows) == figures.stored


@pytest.mark.faults
@pytest.mark.parametrize("size_bytes", [4 << 10, 64 << 10, 1 << 20], ids=lambda size: f"{size >> 10} KiB")
def test_on_a_full_disk_the_appliance_works_without_an_outbox_and_says_that_the_disk_is_full(
    broker: Broker, tmp_path: Path, size_bytes: int
) -> None:
    with small_disk(tmp_path / "state", size_bytes) as folder:
        fill(folder)
        with Listener(broker.port) as listener, Running(settings(broker.url, folder)) as uplink:
            connected(uplink)
            uplink.mailbox.put(spool(1))
            uplink.mailbox.put(Publish(TOPICS.result("people"), {"n": 1}))
            until(lambda: listener.on(TOPICS.result("people")), what="live results go out")
            until(lambda: any("the disk is full" in alarm for alarm in uplink.figures().alarms))
            assert not any("another program" in alarm for alarm in uplink.figures().alarms)


@pytest.mark.faults
def test_once_a_full_disk_has_room_the_events_that_waited_go_out(broker: Broker, tmp_path: Path) -> None:
    with small_disk(tmp_path / "state") as folder:
        others = fill(folder)
        wanted = settings(broker.url, folder)
        with Listener(broker.port) as listener, Running(wanted) as uplink:
            for number in range(100):
                uplink.mailbox.put(spool(number))
            until(lambda: uplink.figures().alarms)
            others.unlink()
            until(lambda: len(listener.numbers()) == 100, 10)
            assert listener.numbers() == list(range(100))
            until(lambda: not uplink.figures().alarms)


@pytest.mark.faults
@pytest.mark.parametrize("files", [1, 2, 3])
def test_a_disk_with_no_more_room_for_files_is_full_too(tmp_path: Path, files: int) -> None:
    """The folder, then the lock, the database, its log: whichever of them does not fit."""
    with small_disk(tmp_path / "state", files=files) as folder:
        wanted = settings("mqtt://127.0.0.1:1", folder / "outbox" if files == 1 else folder)
        running = Running(wanted)
        running.uplink.claim()
        with running as uplink:
            until(lambda: any("the disk is full" in alarm for alarm in uplink.figures().alarms))


@pytest.mark.faults
def test_a_state_folder_that_cannot_be_made_on_a_full_disk_is_made_when_there_is_room(
    broker: Broker, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "state", files=1) as disk:
        (disk / "somebody-elses.log").touch()
        appliance = ApplianceProcess(tmp_path, "")
        state = disk / "folder"
        appliance.path.write_text(
            f'[device]\nstate_dir = "{state}"\n[mqtt]\nbroker = "{broker.url}"\n', encoding="utf-8"
        )
        with appliance:
            until(lambda: f"{state}: cannot hold the appliance's state: No space left" in appliance.log, 15)
            subprocess.run(["mount", "-o", "remount,nr_inodes=64", str(disk)], check=True)
            until((state / "outbox.db").exists, 15)
