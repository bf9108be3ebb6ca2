"""What the demo hears where there is no microphone."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped] # it has no types

from appliance.spoken import PAUSES_S, RATE_HZ, WORDS, chosen, write_spoken

DIGITS = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}


def test_every_digit_comes_in_several_voices_with_a_licence_beside_them() -> None:
    words = [file.stem.split("-") for file in WORDS.glob("*.flac")]
    voices = {voice for _, voice in words}
    assert len(voices) >= 3
    assert {(word, voice) for word, voice in words} == set(itertools.product(DIGITS, voices))
    assert (WORDS / "LICENCE").is_file()


def test_words_follow_one_another_with_pauses_in_which_it_is_almost_silent(tmp_path: Path) -> None:
    path = write_spoken(tmp_path / "words.wav", count=12)
    sound, rate_hz = soundfile.read(path)
    assert rate_hz == RATE_HZ
    block = RATE_HZ // 50
    level = np.sqrt(np.mean(sound[: len(sound) // block * block].reshape(-1, block) ** 2, axis=1))
    assert level.min() > 0, "exact zeros would mean an unplugged microphone"
    quiet = [len(list(run)) / 50 for silent, run in itertools.groupby(level < 0.005) if silent]
    pauses = [seconds for seconds in quiet if seconds > PAUSES_S[0] - 0.05]
    assert len(pauses) == 13
    assert max(pauses) < PAUSES_S[1] + 0.5


def test_the_words_follow_from_the_seed_and_never_repeat_at_once() -> None:
    words = [word for word, _ in chosen(200)]
    assert words == [word for word, _ in chosen(200)]
    assert words != [word for word, _ in chosen(200, seed=1)]
    assert set(words) == DIGITS
    assert all(one != next_one for one, next_one in itertools.pairwise(words))
