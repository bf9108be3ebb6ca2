"""What has quiet around it stands apart in a stream of sound; what is one of many, or a breath, does not."""

from __future__ import annotations

import numpy as np
import pytest

from engines.decode.loudness import Apart, Loudness
from engines.engine import Array

RATE_HZ = 1000
RULE = Apart(pause=200, longest=1000, faint_db=25)

LOUD, WEAK, FAINT, HUM, NOTHING = 0.0, -10.0, -30.0, -12.0, -80.0
"""dB."""


def sound(*parts: tuple[float, int]) -> Array:
    """Noise: levels and lengths in ms."""
    dice = np.random.default_rng(1)
    pieces = [10 ** (level / 20) * dice.choice([-1.0, 1.0], length) for level, length in parts]
    return np.concatenate(pieces).astype(np.float32)


def apart(samples: Array, first: int, last: int) -> bool:
    """Heard in windows of 1 s, every 100 ms."""
    loudness = Loudness(RULE, RATE_HZ)
    for start in range(0, max(len(samples) - 900, 1), 100):
        loudness.hear(samples[start : start + 1000], start)
    return loudness.apart(first, last)


QUIET, TALK = (NOTHING, 3000), (LOUD, 3000)
MOMENTS = {
    "a word in quiet": ([QUIET, (LOUD, 400), (NOTHING, 300)], True),
    "a syllable with a short pause behind it": ([QUIET, (LOUD, 400), (NOTHING, 100), (LOUD, 200)], False),
    "a syllable with a short pause before it": ([TALK, (NOTHING, 100), (LOUD, 300), (NOTHING, 300)], False),
    "a stop inside a word": ([QUIET, (LOUD, 200), (NOTHING, 80), (WEAK, 120), (NOTHING, 300)], True),
    "no pause behind it heard yet": ([QUIET, (LOUD, 400), (NOTHING, 100)], False),
    "a word in noise": ([(HUM, 3000), (LOUD, 400), (HUM, 300)], True),
    "a word in noise that is hardly fainter": ([(-4.0, 3000), (LOUD, 400), (-4.0, 300)], True),
    "a word in noise that stops for a moment": ([*[(HUM, 480), (NOTHING, 20)] * 6, (LOUD, 400), (HUM, 300)], True),
    "noise that goes on and on": ([TALK, (LOUD, 400), (LOUD, 300)], False),
}


@pytest.mark.parametrize(("parts", "expected"), MOMENTS.values(), ids=MOMENTS)
def test_a_word_has_a_pause_before_and_after(parts: list[tuple[float, int]], expected: bool) -> None:
    assert apart(sound(*parts), 3000, 3400) is expected


def test_what_lies_between_two_pauses_is_a_word_and_no_sentence() -> None:
    for length, expected in ((800, True), (1100, False)):
        assert apart(sound(QUIET, (LOUD, length), (NOTHING, 300)), 3300, 3600) is expected


def test_a_breath_is_fainter_than_what_was_said_within_three_seconds() -> None:
    for ago, expected in ((500, False), (2000, False), (3000, True)):
        samples = sound((LOUD, 1000), (NOTHING, ago), (FAINT, 400), (NOTHING, 300))
        assert apart(samples, 1000 + ago, 1400 + ago) is expected


def test_it_was_quiet_before_the_stream_began() -> None:
    assert apart(sound((LOUD, 500), (NOTHING, 500)), 100, 400)


def test_how_loud_everything_is_does_not_matter() -> None:
    samples = sound(QUIET, (LOUD, 400), (NOTHING, 300))
    for gain in (1e-3, 1.0, 1e6):
        assert apart(np.asarray(gain * samples, np.float32), 3000, 3400)


def test_nothing_in_digital_silence_stands_apart() -> None:
    assert not apart(np.zeros(3000, np.float32), 1500, 2000)


def test_lost_sound_is_a_beginning() -> None:
    loudness = Loudness(RULE, RATE_HZ)
    loudness.hear(sound((LOUD, 1000)), 0)
    loudness.hear(sound((NOTHING, 100), (FAINT, 400), (NOTHING, 500)), 5000)
    assert loudness.began == 5000
    assert loudness.apart(5100, 5500)
