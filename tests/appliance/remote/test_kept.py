"""What is kept of samples that nobody could answer."""

from __future__ import annotations

from appliance.pipeline.compose import Seen
from appliance.remote.kept import Kept, KeptSamples
from appliance.remote.view import View
from capture.samples import Stamp


def kept(seq: int, size: int = 10) -> Kept:
    return Kept(Seen("dock", seq, Stamp(0, 0), 0, 0, None, None), b"x" * size, View(0, 0, 1, 1))


def numbers(samples: KeptSamples) -> list[int]:
    found = []
    while (each := samples.take()) is not None:
        found.append(each.seen.seq)
    return found


def test_the_newest_are_kept_and_given_back_oldest_first() -> None:
    samples = KeptSamples(3)
    for seq in range(5):
        samples.add(kept(seq))
    assert samples.given_up == 2
    assert numbers(samples) == [2, 3, 4]


def test_bytes_are_bounded_as_well() -> None:
    samples = KeptSamples(100, most_bytes=250)
    for seq in range(5):
        samples.add(kept(seq, size=100))
    assert numbers(samples) == [3, 4]


def test_what_is_put_back_is_the_oldest_again_and_gives_way_first() -> None:
    samples = KeptSamples(2)
    samples.add(kept(0))
    samples.add(kept(1))
    first = samples.take()
    assert first is not None
    samples.put_back(first)
    assert len(samples) == 2
    samples.add(kept(2))
    assert samples.given_up == 1
    assert numbers(samples) == [1, 2]


def test_taking_makes_room() -> None:
    samples = KeptSamples(10, most_bytes=150)
    samples.add(kept(0, size=100))
    samples.take()
    samples.add(kept(1, size=100))
    assert samples.given_up == 0
