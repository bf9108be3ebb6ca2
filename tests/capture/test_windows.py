"""Blocks of any size become windows; no window spans lost samples."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from capture import AudioWindow, Stamp
from capture.windows import Windows

RATE_HZ = 16_000
BEGAN = Stamp(5_000_000_000, 1_700_000_000_000_000_000)


def block(start: int, count: int, *, gap: int = 0, began: Stamp = BEGAN) -> AudioWindow:
    """Samples that are their own index, so that a window shows where it was cut."""
    stamp = began.shifted(start * 1_000_000_000 // RATE_HZ)
    samples = np.arange(start, start + count, dtype=np.float32)
    ready_ns = stamp.mono_ns + count * 1_000_000_000 // RATE_HZ + 7
    return AudioWindow("kitchen", start, stamp, samples, RATE_HZ, gap, ready_ns, start)


def pushed(windows: Windows, *blocks: AudioWindow) -> list[AudioWindow]:
    return [window for each in blocks for window in windows.push(each)]


def in_blocks_of(size: int, total: int) -> list[AudioWindow]:
    return [block(at, min(size, total - at)) for at in range(0, total, size)]


@pytest.mark.parametrize("size", [1, 7, 100, 512, 1_000, 5_000])
@pytest.mark.parametrize(("length", "hop"), [(100, 100), (100, 30), (400, 160), (100, 250), (1, 1)])
def test_windows_do_not_depend_on_the_size_of_the_blocks(size: int, length: int, hop: int) -> None:
    cut = pushed(Windows(length, hop), *in_blocks_of(size, 3_000))
    starts = list(range(0, 3_000 - length + 1, hop))
    assert [window.start for window in cut] == starts
    assert [window.seq for window in cut] == list(range(len(starts)))
    for window in cut:
        np.testing.assert_array_equal(window.samples, np.arange(window.start, window.start + length))
        assert window.stamp.mono_ns == pytest.approx(BEGAN.mono_ns + window.start * 1e9 / RATE_HZ, abs=2)
        assert window.stamp.unix_ns - window.stamp.mono_ns == BEGAN.unix_ns - BEGAN.mono_ns
        assert window.gap == 0


def test_a_window_is_ready_when_the_block_that_completed_it_was() -> None:
    first, second = block(0, 512), block(512, 512)
    (window,) = pushed(Windows(600, 600), first, second)
    assert window.ready_ns == second.ready_ns
    assert window.source == "kitchen"
    assert window.rate_hz == RATE_HZ


def test_windows_are_read_only_and_share_nothing() -> None:
    first, second = pushed(Windows(100, 50), block(0, 150))
    assert not first.samples.flags.writeable
    assert not second.samples.flags.writeable
    assert not np.shares_memory(first.samples, second.samples)


def test_no_window_spans_lost_samples_and_the_next_one_tells_of_them() -> None:
    windows = Windows(100, 50)
    before = pushed(windows, block(0, 130))
    after = pushed(windows, block(530, 250, gap=400))
    assert [window.start for window in before] == [0]
    assert [window.start for window in after] == [530, 580, 630, 680]
    assert [window.gap for window in after] == [400, 0, 0, 0]
    assert [window.seq for window in after] == [1, 2, 3, 4]


def test_a_hole_shows_by_the_index_alone() -> None:
    (window,) = pushed(Windows(100, 100), block(0, 60), block(100, 110))
    assert (window.start, window.gap) == (100, 40)


def test_several_holes_before_a_window_add_up() -> None:
    (window,) = pushed(Windows(100, 100), block(0, 60), block(70, 60, gap=10), block(150, 100, gap=20))
    assert (window.start, window.gap) == (150, 30)


def test_a_hole_ends_the_waiting_of_a_long_hop() -> None:
    cut = pushed(Windows(100, 1_000), block(0, 200), block(300, 200, gap=100))
    assert [(window.start, window.gap) for window in cut] == [(0, 0), (300, 100)]


def test_a_source_opened_again_begins_a_new_sound_and_the_clock_tells_the_gap() -> None:
    windows = Windows(100, 100)
    pushed(windows, block(0, 1_000))
    reopened = block(0, 100, began=BEGAN.shifted(2_000_000_000))
    (window,) = pushed(windows, reopened)
    assert window.start == 0
    assert window.stamp == reopened.stamp
    assert window.gap == 2 * RATE_HZ - 1_000


def test_the_first_window_of_a_stream_joined_late_has_no_gap() -> None:
    (window,) = pushed(Windows(100, 100), block(70_000, 100))
    assert (window.start, window.gap) == (70_000, 0)


def test_the_end_is_padded_with_zeros_when_asked_for() -> None:
    windows = Windows(100, 40)
    pushed(windows, block(0, 110))
    (rest,) = windows.flush(pad=True)
    assert (rest.start, rest.seq) == (40, 1)
    np.testing.assert_array_equal(rest.samples, [*range(40, 110), *[0] * 30])
    assert rest.stamp.mono_ns == pytest.approx(BEGAN.mono_ns + 40 * 1e9 / RATE_HZ, abs=2)


@pytest.mark.parametrize(("length", "hop", "total"), [(100, 40, 100), (100, 40, 140), (100, 250, 180), (100, 100, 0)])
def test_nothing_is_padded_when_every_sample_was_heard_or_left_out(length: int, hop: int, total: int) -> None:
    windows = Windows(length, hop)
    pushed(windows, *in_blocks_of(33, total))
    assert windows.flush(pad=True) == []


def test_a_flush_without_padding_drops_the_rest_and_begins_anew() -> None:
    windows = Windows(100, 100)
    pushed(windows, block(0, 150))
    assert windows.flush(pad=False) == []
    (window,) = pushed(windows, block(0, 100))
    assert (window.start, window.gap) == (0, 0)
    np.testing.assert_array_equal(window.samples, np.arange(100))


def test_a_change_of_rate_in_the_middle_is_refused() -> None:
    windows = Windows(100, 100)
    pushed(windows, block(0, 50))
    with pytest.raises(ValueError, match="sound at 8000 Hz after sound at 16000 Hz"):
        windows.push(dataclasses.replace(block(50, 50), rate_hz=8_000))


@pytest.mark.parametrize(("length", "hop"), [(0, 1), (1, 0), (-1, 5)])
def test_lengths_that_are_none_are_refused(length: int, hop: int) -> None:
    with pytest.raises(ValueError, match="expected positive numbers"):
        Windows(length, hop)
