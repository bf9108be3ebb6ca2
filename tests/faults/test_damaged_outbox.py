"""Goal G7: whatever happens to the outbox's files, the appliance starts, and no identity is used for two contents."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.outbox.file import OutboxDamaged
from appliance.outbox.outbox import Entry, Outbox
from appliance.result import Spool
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.uplinks import Listener, Running, settings, spool
from tests.waiting import until

NAME = "outbox.sqlite"
FILES = (NAME, f"{NAME}-wal", f"{NAME}.mark")
STREAMS = ("people", "cars")
QUOTA_BYTES = 2 << 20


def entry(content: str, stream: str) -> Entry:
    def encode(spool: Spool) -> bytes:
        place = {"stream": spool.stream, "epoch": spool.epoch, "seq": spool.seq}
        return json.dumps({"content": content, "spool": place, "fill": "x" * 300}).encode()

    return Entry(stream, f"t/{stream}", 1, encode)


def fill(outbox: Outbox, label: str, count: int) -> dict[tuple[str, str, int], str]:
    """Append; gives what each identity stands for."""
    known = {}
    for first in range(0, count, 25):
        entries = [entry(f"{label} {n}", STREAMS[n % 2]) for n in range(first, first + 25)]
        for n, place in enumerate(outbox.append(entries), first):
            known[(place.stream, place.epoch, place.seq)] = f"{label} {n}"
    return known


def outgoing(outbox: Outbox) -> list[tuple[tuple[str, str, int], str]]:
    """Everything unsent, as a receiver would see it."""
    documents = [
        json.loads(row.payload)
        for stream in outbox.streams()
        for row in outbox.read(stream.number, stream.acknowledged, most=100_000, most_bytes=1 << 30)
    ]
    return [
        ((place["stream"], place["epoch"], place["seq"]), document["content"])
        for document in documents
        for place in [document["spool"]]
    ]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[tuple[str, str, int], str]]:
    """The files that a kill -9 leaves, the same some time earlier, and what was accepted until then."""
    folder = tmp_path_factory.mktemp("outbox")
    earlier, later = folder / "earlier", folder / "later"
    with Outbox(folder / "work" / NAME, QUOTA_BYTES) as outbox:
        known = fill(outbox, "first", 1000)
        snapshot(folder / "work", earlier)
        outbox.acknowledge({1: 300, 2: 250})
        outbox.release(1, 250)
        known |= fill(outbox, "second", 500)
        snapshot(folder / "work", later)
    return later, earlier, known


def snapshot(source: Path, target: Path) -> None:
    target.mkdir()
    for name in FILES:
        shutil.copy(source / name, target / name)


def flip_bytes(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 1, 3, 20))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, chance: random.Random) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(chance.choice((0, chance.randrange(size), chance.randrange(size) // 4096 * 4096)))


def zero_stretch(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    start = chance.randrange(len(content))
    length = min(chance.choice((1, 100, 4096, 65536)), len(content) - start)
    content[start : start + length] = bytes(length)
    path.write_bytes(content)


def all_zeros(path: Path, chance: random.Random) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def garbage(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    start = chance.choice((0, chance.randrange(len(content))))
    content[start:] = chance.randbytes(len(content) - start)
    path.write_bytes(content)


def delete(path: Path, chance: random.Random) -> None:
    path.unlink()


DAMAGES: tuple[Callable[[Path, random.Random], None], ...] = (
    flip_bytes,
    flip_bytes,
    truncate,
    zero_stretch,
    all_zeros,
    garbage,
    delete,
)


def use(outbox: Outbox) -> list[tuple[tuple[str, str, int], str]]:
    """What goes out of it and into it; damage that shows only now is met as the uplink meets it."""
    try:
        return [*outgoing(outbox), *fill(outbox, "third", 50).items(), *outgoing(outbox)]
    except OutboxDamaged:
        outbox.close()
        outbox.open()
        return use(outbox)


def check_start(folder: Path, known: dict[tuple[str, str, int], str], what: str) -> tuple[bool, float]:
    """Open, use, open again; whether the store had to be begun anew, and the seconds until it was open."""
    started_s = time.monotonic()
    contents = dict(known)
    with Outbox(folder / NAME, QUOTA_BYTES) as outbox:
        opened_s = time.monotonic() - started_s
        assert opened_s < 10, what
        for identity, content in use(outbox):
            assert contents.setdefault(identity, content) == content, f"{what}: {identity} stands for two contents"
        assert sum(content.startswith("third") for _, content in outgoing(outbox)) == 50, what
        anew = bool(outbox.damage)
    with Outbox(folder / NAME, QUOTA_BYTES) as outbox:
        assert not outbox.damage, what
        for identity, content in outgoing(outbox):
            assert contents[identity] == content, what
    return anew, opened_s


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_after_any_of_200_damages_it_starts_and_uses_no_identity_twice(
    killed: tuple[Path, Path, dict[tuple[str, str, int], str]], tmp_path: Path, long_run: bool
) -> None:
    later, _, known = killed
    anew, slowest_s, runs = 0, 0.0, 2000 if long_run else 200
    started_s = time.monotonic()
    for seed in range(runs):
        chance = random.Random(seed)
        folder = tmp_path / str(seed)
        shutil.copytree(later, folder)
        done = []
        for _ in range(chance.choice((1, 1, 2))):
            name, damage = chance.choice(FILES), chance.choice(DAMAGES)
            if (folder / name).exists() and (folder / name).stat().st_size:
                damage(folder / name, chance)
                done.append(f"{damage.__name__} of {name}")
        was_anew, opened_s = check_start(folder, known, f"seed {seed}: {', '.join(done)}")
        anew, slowest_s = anew + was_anew, max(slowest_s, opened_s)
        shutil.rmtree(folder)
    seconds = round(time.monotonic() - started_s, 1)
    tell("G7 damaged outbox", damages=runs, begun_anew=anew, slowest_s=round(slowest_s, 2), reused=0, seconds=seconds)


@pytest.mark.faults
@pytest.mark.parametrize("old", [FILES[:2], FILES[1:2], FILES[:1], FILES[2:]], ids=lambda old: " and ".join(old))
def test_files_of_an_earlier_moment_do_not_make_it_repeat_itself(
    killed: tuple[Path, Path, dict[tuple[str, str, int], str]], tmp_path: Path, old: tuple[str, ...]
) -> None:
    later, earlier, known = killed
    folder = tmp_path / "mixed"
    shutil.copytree(later, folder)
    for name in old:
        shutil.copy(earlier / name, folder / name)
    check_start(folder, known, f"earlier {old}")


def test_without_damage_everything_unsent_is_there(
    killed: tuple[Path, Path, dict[tuple[str, str, int], str]], tmp_path: Path
) -> None:
    later, _, known = killed
    folder = tmp_path / "sound"
    shutil.copytree(later, folder)
    with Outbox(folder / NAME, QUOTA_BYTES) as outbox:
        assert not outbox.damage
        assert dict(outgoing(outbox)) == {
            identity: content
            for identity, content in known.items()
            if identity[2] > {"people": 300, "cars": 250}[identity[0]]
        }


def test_a_lost_mark_costs_the_epoch_but_no_event(
    killed: tuple[Path, Path, dict[tuple[str, str, int], str]], tmp_path: Path
) -> None:
    later, _, known = killed
    folder = tmp_path / "unmarked"
    shutil.copytree(later, folder)
    (folder / FILES[2]).unlink()
    with Outbox(folder / NAME, QUOTA_BYTES) as outbox:
        assert "mark" in outbox.damage
        assert outbox.salvaged == len(outgoing(outbox)) == 1500 - 300 - 250
        assert outbox.epoch != next(iter(known))[1]


@pytest.mark.faults
def test_a_receiver_gets_the_salvaged_events_first_under_their_old_identity(broker: Broker, tmp_path: Path) -> None:
    wanted = settings(broker.url, tmp_path, linger_s=0.1)
    with Running(settings("mqtt://127.0.0.1:1", tmp_path)) as uplink:
        for number in range(100):
            uplink.mailbox.put(spool(number))
        until(lambda: uplink.figures().stored == 100)
    wanted.outbox_path.with_name(wanted.outbox_path.name + ".mark").unlink()
    with Listener(broker.port) as listener, Running(wanted) as uplink:
        uplink.mailbox.put(spool(100))
        until(lambda: len(listener.numbers()) == 101)
        assert listener.numbers() == list(range(101))
        places = [document["spool"] for document in listener.events()]
        assert [place["seq"] for place in places] == [*range(1, 101), 1]
        assert places[0]["epoch"] != places[-1]["epoch"]
        assert any("mark" in alarm for alarm in uplink.figures().alarms)

        until(lambda: uplink.figures().sent == 101, what="the old stream is done with, and still counts")
        assert uplink.figures().accepted == 101
