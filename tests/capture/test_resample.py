"""Sound converted piece by piece keeps its pitch, its length, and its time."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from capture import CaptureError
from capture.resample import Resampler
from capture.samples import Samples

RATES = [(48_000, 16_000), (44_100, 16_000), (8_000, 16_000), (16_000, 22_050), (96_000, 16_000)]


def converted(resampler: Resampler, sound: Samples, block: int) -> Samples:
    pieces = [resampler.push(sound[at : at + block]) for at in range(0, len(sound), block)]
    return np.concatenate([*pieces, resampler.flush()])


def tone(rate_hz: int, seconds: float) -> Samples:
    return np.sin(2 * np.pi * 440 * np.arange(int(rate_hz * seconds)) / rate_hz).astype(np.float32)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
@pytest.mark.parametrize("block", [160, 1411, 20_000])
def test_a_tone_comes_out_as_the_same_tone_at_the_same_time(rate_in: int, rate_out: int, block: int) -> None:
    out = converted(Resampler(rate_in, rate_out), tone(rate_in, 1.0), block)
    assert out.dtype == np.float32
    assert len(out) == rate_out
    inner = slice(rate_out // 10, -rate_out // 10)  # a tone that begins suddenly has other tones in it
    np.testing.assert_allclose(out[inner], tone(rate_out, 1.0)[inner], atol=1e-4)


@pytest.mark.parametrize(("rate_in", "rate_out"), RATES)
def test_held_sound_is_what_is_missing_at_the_output(rate_in: int, rate_out: int) -> None:
    resampler, returned = Resampler(rate_in, rate_out), 0
    block = rate_in // 31
    for count in itertools.count(1):
        before_ns = resampler.held_ns
        returned += len(resampler.push(np.zeros(block, np.float32)))
        assert resampler.held_ns == pytest.approx((count * block / rate_in - returned / rate_out) * 1e9, abs=2)
        assert 0 <= before_ns < 130e6
        if count == 50:
            break


def test_above_the_new_limit_nothing_is_folded_back() -> None:
    shrill = np.sin(2 * np.pi * 11_000 * np.arange(48_000) / 48_000).astype(np.float32)
    out = converted(Resampler(48_000, 16_000), shrill, 1536)
    assert np.abs(out[1_000:-1_000]).max() < 1e-4


def test_equal_rates_pass_through_without_a_copy() -> None:
    resampler = Resampler(16_000, 16_000)
    sound = np.ones(100, np.float32)
    assert resampler.push(sound) is sound
    assert resampler.held_ns == 0
    assert len(resampler.flush()) == 0


def test_after_a_flush_a_new_sound_begins() -> None:
    resampler = Resampler(44_100, 16_000)
    first = converted(resampler, tone(44_100, 0.3), 1411)
    assert resampler.held_ns == 0
    np.testing.assert_array_equal(converted(resampler, tone(44_100, 0.3), 1411), first)


def test_a_rate_that_is_none_is_refused() -> None:
    with pytest.raises(CaptureError, match="cannot convert sound from 0 to 16000 Hz"):
        Resampler(0, 16_000)


def test_without_soxr_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(CaptureError, match="pip install soxr"):
        Resampler(48_000, 16_000)
