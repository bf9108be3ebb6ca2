"""What a tone, silence and windows that overlap look like."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.page.spectrogram import BANDS, COLUMNS_PER_S, FLOOR_DB, LOWEST_HZ, Spectrogram
from capture.samples import AudioWindow, Samples, Stamp

RATE_HZ = 16_000


def window(samples: Samples, start: int = 0) -> AudioWindow:
    return AudioWindow("ear", 0, Stamp.now(), samples.astype(np.float32), RATE_HZ, 0, 0, start)


def tone(hertz: float, seconds: float = 1.0, loud: float = 1.0) -> Samples:
    return (loud * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize("hertz", [220.0, 880.0, 3520.0])
def test_a_tone_is_brightest_in_its_band(hertz: float) -> None:
    columns = Spectrogram(RATE_HZ).hear(window(tone(hertz))).columns
    expected = BANDS * np.log(hertz / LOWEST_HZ) / np.log(RATE_HZ / 2 / LOWEST_HZ)
    assert abs(float(np.median(np.argmax(columns, axis=1))) - expected) <= 2


def test_full_scale_is_white_and_loudness_is_that_of_a_sine() -> None:
    heard = Spectrogram(RATE_HZ).hear(window(tone(1000.0)))
    assert heard.columns.max() >= 250
    assert heard.rms_db == pytest.approx(-3.0, abs=0.1)
    assert heard.peak_db == pytest.approx(0.0, abs=0.1)


def test_silence_is_black_and_as_quiet_as_can_be_told() -> None:
    heard = Spectrogram(RATE_HZ).hear(window(np.zeros(RATE_HZ, np.float32)))
    assert not heard.columns.any()
    assert heard.rms_db == heard.peak_db == FLOOR_DB


def test_windows_that_overlap_make_as_many_columns_as_the_sound_is_long() -> None:
    spectrogram, sound = Spectrogram(RATE_HZ), tone(500.0, 4.0)
    starts = range(0, len(sound) - RATE_HZ + 1, RATE_HZ // 4)
    columns = sum(len(spectrogram.hear(window(sound[start : start + RATE_HZ], start)).columns) for start in starts)
    assert columns == pytest.approx(4 * COLUMNS_PER_S, abs=2)


def test_pieces_of_any_length_make_the_same_columns() -> None:
    sound = tone(700.0, 2.0)
    whole = Spectrogram(RATE_HZ).hear(window(sound)).columns
    spectrogram, place, parts = Spectrogram(RATE_HZ), 0, []
    for length in (100, 3000, 7, 5000, 23893):
        parts.append(spectrogram.hear(window(sound[place : place + length], place)).columns)
        place += length
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_sound_from_before_a_gap_is_not_joined_to_that_after_it() -> None:
    spectrogram = Spectrogram(RATE_HZ)
    spectrogram.hear(window(tone(500.0, 0.03)))
    assert len(spectrogram.hear(window(tone(500.0, 0.04), RATE_HZ)).columns) == 0
