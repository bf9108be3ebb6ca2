"""Times of blocks: read late now and then, never early, and sometimes with samples missing."""

from __future__ import annotations

import random

import pytest

from capture import Stamp
from capture.sample_clock import SampleClock

RATE_HZ = 16_000
BLOCK = 512
BLOCK_NS = 32_000_000
UNIX_NS = 1_700_000_000_000_000_000
MS = 1_000_000


class Device:
    """Samples that are taken at their time, and read when the test says."""

    def __init__(self, drift: float = 0.0) -> None:
        self.clock = SampleClock(RATE_HZ)
        self.taken_ns = 1_000_000_000.0
        self._block_ns = BLOCK_NS * (1 + drift)

    def block(self, late_ms: float = 0.0, *, lost: int = 0, overflow: bool = False) -> tuple[float, int]:
        """Error of the stamp in milliseconds, and what the clock says was lost."""
        self.taken_ns += lost * 1e9 / RATE_HZ
        mono_ns = round(self.taken_ns + late_ms * MS)
        stamp, missing = self.clock.place(Stamp(mono_ns, UNIX_NS + mono_ns), BLOCK, overflow=overflow)
        assert stamp.unix_ns - stamp.mono_ns == UNIX_NS
        error_ms = (stamp.mono_ns - self.taken_ns) / MS
        self.taken_ns += self._block_ns
        return error_ms, missing


def test_the_whims_of_the_scheduler_do_not_reach_the_stamps() -> None:
    device, chance = Device(), random.Random(1)
    device.block()
    for _ in range(1_000):
        error_ms, lost = device.block(late_ms=chance.expovariate(1 / 8))
        assert -0.001 <= error_ms < 2
        assert lost == 0


def test_a_first_block_that_came_late_is_corrected_by_the_next() -> None:
    device = Device()
    assert device.block(late_ms=60)[0] == 60
    assert device.block(late_ms=2)[0] == pytest.approx(2)


@pytest.mark.parametrize("drift", [-1e-4, 1e-4])
def test_a_device_that_is_slower_or_faster_than_it_says_is_followed(drift: float) -> None:
    device, chance = Device(drift), random.Random(2)
    errors = [device.block(late_ms=chance.uniform(0, 5)) for _ in range(30_000)]  # 16 minutes, 96 ms of drift
    assert all(abs(error_ms) < 6 and lost == 0 for error_ms, lost in errors)


def test_a_backlog_that_is_read_later_is_no_loss() -> None:
    device = Device()
    for _ in range(50):
        device.block()
    for behind in range(94, 0, -1):  # 3 s in which nobody read, then everything within a moment
        assert device.block(late_ms=behind * 32)[1] == 0
    for _ in range(100):
        error_ms, lost = device.block()
        assert abs(error_ms) < 4
        assert lost == 0


def test_a_loss_that_the_driver_tells_of_is_counted_by_the_clock() -> None:
    device = Device()
    for _ in range(50):
        device.block(late_ms=1)
    error_ms, lost = device.block(lost=8_000, overflow=True, late_ms=1)
    assert lost == pytest.approx(8_000, abs=20)
    assert abs(error_ms) < 2
    assert device.block(late_ms=1)[1] == 0


def test_a_loss_that_the_driver_tells_of_is_never_none() -> None:
    device = Device()
    device.block()
    assert device.block(overflow=True)[1] == 1


@pytest.mark.parametrize("late_ms", [0, 15])
def test_a_loss_that_nobody_tells_of_shows_within_a_little_more_than_a_second(late_ms: float) -> None:
    device = Device()
    for _ in range(100):
        device.block()
    device.block(lost=4_000)
    found = [device.block(late_ms=late_ms * (n % 3)) for n in range(100)]
    told = [(n, lost) for n, (_, lost) in enumerate(found) if lost]
    assert len(told) == 1
    n, lost = told[0]
    assert n * 0.032 == pytest.approx(1.0, abs=0.1)
    assert lost == pytest.approx(4_000, abs=50)
    assert all(abs(error_ms) < 5 for error_ms, _ in found[n:])


def test_a_small_delay_that_stays_is_taken_for_what_it_is() -> None:
    device = Device()
    device.block()
    assert [device.block(late_ms=60)[1] for _ in range(200)] == [0] * 200
