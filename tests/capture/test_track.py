"""Pieces of sound become numbered, stamped windows at the rate asked for."""

from __future__ import annotations

import numpy as np
import pytest

from capture import AudioWindow, Stamp
from capture.samples import Samples
from capture.track import Track

BEGAN = Stamp(3_000_000_000, 1_700_000_000_000_000_000)


def click_at(index: int, count: int) -> Samples:
    sound = np.zeros(count, np.float32)
    sound[index] = 1.0
    return sound


def added(track: Track, sound: Samples, rate_hz: int, *, block: int = 1411) -> list[AudioWindow]:
    windows = []
    for at in range(0, len(sound), block):
        windows.append(track.add(sound[at : at + block], BEGAN.shifted(at * 1_000_000_000 // rate_hz)))
    return [window for window in [*windows, track.finish()] if window is not None]


@pytest.mark.parametrize("rate_in", [8_000, 16_000, 44_100, 48_000])
def test_a_click_is_found_at_the_time_it_was_made(rate_in: int) -> None:
    windows = added(Track("kitchen", rate_in, 16_000), click_at(rate_in, 2 * rate_in), rate_in)
    loudest = max(windows, key=lambda window: window.samples.max())
    found_ns = loudest.stamp.mono_ns + int(loudest.samples.argmax()) * 1_000_000_000 // 16_000
    assert abs(found_ns - BEGAN.mono_ns - 1_000_000_000) < 100_000


@pytest.mark.parametrize("rate_in", [16_000, 44_100])
def test_windows_follow_each_other_without_a_hole(rate_in: int) -> None:
    windows = added(Track("kitchen", rate_in, 16_000, first_seq=7), np.zeros(rate_in, np.float32), rate_in)
    assert [window.seq for window in windows] == list(range(7, 7 + len(windows)))
    ends = np.cumsum([len(window.samples) for window in windows])
    assert [window.start for window in windows] == [0, *ends[:-1]]
    assert ends[-1] == 16_000
    for window in windows:
        assert window.gap == 0
        assert window.stamp.mono_ns == pytest.approx(BEGAN.mono_ns + window.start * 1e9 / 16_000, abs=5)


@pytest.mark.parametrize("rate_in", [16_000, 48_000])
def test_after_a_loss_the_index_jumps_and_the_stamp_is_right(rate_in: int) -> None:
    track = Track("kitchen", rate_in, 16_000)
    block = rate_in // 10
    before = [track.add(np.zeros(block, np.float32), BEGAN.shifted(n * 100_000_000)) for n in range(10)]
    resumed = BEGAN.shifted(1_500_000_000)
    after = [track.add(np.zeros(block, np.float32), resumed, lost=rate_in // 2)]
    after += [track.add(np.zeros(block, np.float32), resumed.shifted(n * 100_000_000)) for n in (1, 2)]
    last = [window for window in before if window is not None][-1]
    first = next(window for window in after if window is not None)
    assert first.start == 24_000
    assert first.stamp == resumed
    assert first.gap == first.start - last.start - len(last.samples)
    assert first.gap >= 8_000
