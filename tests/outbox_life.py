"""A varied life of an outbox: appends, acknowledgements, losses and returns, as an uplink causes them."""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from appliance.outbox.gaps import Dropped
from appliance.outbox.outbox import Entry, Outbox
from appliance.result import Gap, Spool, to_json

Identity: TypeAlias = "tuple[str, str, int]"
"""Stream, epoch, number."""

STREAMS = ("people", "cars")


def identity(place: Spool) -> Identity:
    return place.stream, place.epoch, place.seq


def entry(content: str, *, stream: str = "people", priority: int = 1, fill: int = 300) -> Entry:
    """A document that says who it is, as the real ones do."""

    def encode(place: Spool) -> bytes:
        spool = {"stream": place.stream, "epoch": place.epoch, "seq": place.seq}
        return json.dumps({"content": content, "priority": priority, "spool": spool, "fill": "x" * fill}).encode()

    return Entry(stream, f"t/{stream}", priority, encode)


def announce_all(outbox: Outbox) -> None:
    """What the uplink does a few times a second."""
    for gap in outbox.gaps():

        def encode(place: Spool, gap: Dropped = gap) -> bytes:
            epoch = None if gap.epoch == place.epoch else gap.epoch
            at = "2026-01-01T00:00:00.000000Z"
            return to_json(Gap("dock-1", gap.first, gap.last, gap.count, gap.reason, at, epoch=epoch, spool=place))

        outbox.announce(gap, encode)


def waiting(outbox: Outbox) -> dict[Identity, dict[str, Any]]:
    """Everything unsent, in the order of its stream; nothing is in hand afterwards."""
    documents = [
        json.loads(row.payload)
        for stream in outbox.streams()
        for row in outbox.read(stream.number, stream.acknowledged, most=100_000, most_bytes=1 << 30)
    ]
    outbox.put_down()
    return {identity(Spool(**document["spool"])): document for document in documents}


def act(outbox: Outbox, chance: random.Random, next_number: Iterator[int]) -> list[Spool]:
    """One thing that happens to an outbox; gives the places of what was appended."""
    streams = outbox.streams()
    kind = chance.random()
    if kind < 0.6 or not streams:
        return outbox.append([some_entry(chance, next_number) for _ in range(chance.choice((1, 1, 5, 30)))])
    stream = chance.choice(streams)
    if kind < 0.75:
        outbox.acknowledge({stream.number: chance.randint(stream.acknowledged, stream.last)})
    elif kind < 0.8:
        outbox.release(stream.number, stream.acknowledged)
    elif kind < 0.85:
        outbox.rewind(stream.number, chance.randint(0, stream.acknowledged))
    elif kind < 0.9:
        outbox.bury(stream.number, chance.randint(stream.acknowledged, stream.last), "poison")
    elif kind < 0.95:
        announce_all(outbox)
    else:
        outbox.close()
        outbox.open()
    return []


def some_entry(chance: random.Random, next_number: Iterator[int]) -> Entry:
    fill = chance.choice((50, 300, 300, 3000, 9000))
    return entry(str(next(next_number)), stream=chance.choice(STREAMS), priority=chance.randrange(3), fill=fill)


@contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder on a disk that never makes anyone wait, where there is one: for tests of faults, not of disks."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else otherwise))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
