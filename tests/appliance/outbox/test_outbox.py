"""The outbox against a reference model, its room, its streams, its file, its owner."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import pytest

from appliance.outbox.outbox import Entry, Outbox

Place: TypeAlias = tuple[str, int]
"""Stream and number."""

QUOTA_BYTES = 1_000_000
STREAMS = ("people", "cars", "speech")


def entry(content: bytes, stream: str = "people", priority: int = 1) -> Entry:
    return Entry(stream, f"t/{stream}", priority, lambda place: b"%s %d %s" % (stream.encode(), place.seq, content))


@dataclass
class Model:
    """What an outbox is, in the fewest words: documents that wait in an order, and what became of the others."""

    waiting: dict[Place, tuple[int, int, bytes]] = field(default_factory=dict)
    """Priority, age rank and payload of everything unsent."""
    taken: dict[Place, tuple[int, int, bytes]] = field(default_factory=dict)
    """Acknowledged, and perhaps still in the outbox."""
    silent: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    """Gone by stream and reason, and not yet announced."""
    held: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    accepted = sent = dropped = dead = 0

    def append(self, stream: str, priority: int, payload: bytes) -> None:
        self.last[stream] += 1
        self.accepted += 1
        self.waiting[stream, self.last[stream]] = (priority, self.accepted, payload)

    def drop(self, count: int, reason: str) -> None:
        order = sorted((*self.waiting[at][:2], at) for at in self.waiting if at[1] > self.held.get(at[0], 0))
        for _, _, at in order[:count]:
            del self.waiting[at]
            self.silent[at[0], reason].add(at[1])
        self.dropped += count

    def acknowledge(self, stream: str, seq: int) -> None:
        for at in [at for at in self.waiting if at[0] == stream and at[1] <= seq]:
            self.taken[at] = self.waiting.pop(at)
            self.sent += 1

    def bury(self, stream: str, seq: int) -> None:
        del self.waiting[stream, seq]
        self.silent[stream, "poison"].add(seq)
        self.dead += 1

    def of(self, stream: str) -> list[bytes]:
        return [payload for at, (_, _, payload) in sorted(self.waiting.items()) if at[0] == stream]


class Pair:
    """An outbox and its model, which get the same and must be the same."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.path, self.chance = path, chance
        self.outbox = Outbox(path, QUOTA_BYTES)
        self.outbox.open()
        self.model = Model()

    def number(self, stream: str) -> int:
        return next(books.number for books in self.outbox.streams() if books.name == stream)

    def acknowledged(self, stream: str) -> int:
        return self.outbox.stream(self.number(stream)).acknowledged

    def append(self) -> None:
        group = [
            (self.chance.choice(STREAMS), self.chance.randbytes(self.chance.randrange(3000)))
            for _ in range(self.chance.choice((1, 1, 10, 64)))
        ]
        priority = self.chance.randrange(3)
        before = self.outbox.figures().dropped
        places = self.outbox.append([entry(content, stream, priority) for stream, content in group])
        for (stream, content), place in zip(group, places, strict=True):
            payload = b"%s %d %s" % (stream.encode(), place.seq, content)
            self.model.append(stream, priority, payload)
            assert (place.stream, place.seq) == (stream, self.model.last[stream])
        self.model.drop(self.outbox.figures().dropped - before, "outbox full")

    def hold(self, stream: str) -> None:
        kept = self.outbox.read(self.number(stream), self.acknowledged(stream), most=5, most_bytes=1 << 20)
        self.model.held[stream] = max([self.model.held.get(stream, 0), *(row.seq for row in kept)])
        assert [row.payload for row in kept] == self.model.of(stream)[: len(kept)]

    def put_down(self, _: str = "") -> None:
        self.outbox.put_down()
        self.model.held.clear()

    def acknowledge(self, stream: str) -> None:
        seq = self.chance.randint(self.acknowledged(stream), self.model.last[stream])
        self.outbox.acknowledge({self.number(stream): seq})
        self.model.acknowledge(stream, seq)

    def release(self, stream: str) -> None:
        seq = self.chance.randint(0, self.model.last[stream])
        self.outbox.release(self.number(stream), seq)
        for at in [at for at in self.model.taken if at[0] == stream and at[1] <= seq]:
            del self.model.taken[at]

    def rewind(self, stream: str) -> None:
        """What was evicted since it was acknowledged cannot be had again; the model learns it from the outbox."""
        seq = self.chance.randint(0, self.acknowledged(stream))
        before = self.outbox.figures().sent
        self.outbox.rewind(self.number(stream), seq)
        kept = self.outbox.read(self.number(stream), seq, most=10_000, most_bytes=1 << 30)
        again = [(stream, row.seq) for row in kept if (stream, row.seq) not in self.model.waiting]
        for at in again:
            self.model.waiting[at] = self.model.taken.pop(at)
        self.model.sent -= len(again)
        assert before - self.outbox.figures().sent == len(again)
        self.put_down()

    def bury(self, stream: str) -> None:
        places = [at for at in self.model.waiting if at[0] == stream]
        if places:
            at = self.chance.choice(places)
            before = self.outbox.figures().dropped
            self.outbox.bury(self.number(stream), at[1], "poison")
            self.model.drop(self.outbox.figures().dropped - before, "outbox full")
            if at in self.model.waiting:
                self.model.bury(*at)

    def announce(self, _: str) -> None:
        for gap in self.outbox.gaps():
            seqs = self.model.silent.pop((gap.name, gap.reason))
            assert (gap.first, gap.last, gap.count) == (min(seqs), max(seqs), len(seqs))
            assert gap.topic == f"t/{gap.name}"
            before = self.outbox.figures().dropped
            place = self.outbox.announce(gap, lambda place: b"gap %d" % place.seq)
            self.model.append(gap.name, 100, b"gap %d" % place.seq)
            self.model.drop(self.outbox.figures().dropped - before, "outbox full")

    def reopen(self, _: str) -> None:
        self.outbox.close()
        self.outbox = Outbox(self.path, QUOTA_BYTES)
        self.outbox.open()
        assert not self.outbox.damage
        self.put_down()

    def compare(self) -> None:
        model, figures = self.model, self.outbox.figures()
        assert (figures.accepted, figures.sent, figures.dropped, figures.dead) == (
            *(model.accepted, model.sent, model.dropped, model.dead),
        )
        assert figures.stored == len(model.waiting) == model.accepted - model.sent - model.dropped - model.dead
        assert sum((figures.dropped_by_reason or {}).values()) == model.dropped
        assert figures.used_bytes <= QUOTA_BYTES

    def compare_everything(self) -> None:
        for books in self.outbox.streams():
            kept = self.outbox.read(books.number, books.acknowledged, most=100_000, most_bytes=1 << 30)
            there = {(books.name, row.seq): row.payload for row in kept}
            waiting = {at: payload for at, (_, _, payload) in self.model.waiting.items() if at[0] == books.name}
            assert list(there) == sorted(waiting)
            assert there == waiting
        self.put_down()


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_done_to_it_an_outbox_does_what_the_model_does(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    pair = Pair(tmp_path / "outbox.db", chance)
    actions: Sequence[Callable[[str], None]] = (
        *(pair.hold, pair.hold, pair.put_down, pair.acknowledge, pair.release, pair.rewind, pair.bury),
        *(pair.announce, pair.announce, pair.reopen),
    )
    pair.append()
    for step in range(400):
        if chance.random() < 0.5 or len(pair.outbox.streams()) < len(STREAMS):
            pair.append()
        else:
            chance.choice(actions)(chance.choice(STREAMS))
        pair.compare()
        if step % 20 == 0:
            pair.compare_everything()
    pair.compare_everything()
    assert pair.model.dropped > 100, "the quota was reached"
    pair.outbox.close()
