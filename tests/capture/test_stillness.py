"""How long a sound has not changed."""

from __future__ import annotations

import numpy as np
import pytest

from capture.samples import Samples
from capture.stillness import Stillness

RATE_HZ = 1_000
MS = 1_000_000

NOISE = np.array([0.1, -0.1] * 50, np.float32)
ZEROS = np.zeros(100, np.float32)
STUCK = np.full(100, -1 / 32_768, np.float32)


def after(*blocks: Samples) -> float:
    """Seconds at the end of blocks that were read without delay."""
    stillness, still_s = Stillness(RATE_HZ), 0.0
    for count, block in enumerate(blocks):
        still_s = stillness.of_s(block, count * 100 * MS, count * 100 * MS)
    return still_s


@pytest.mark.parametrize(
    ("blocks", "still_s"),
    [
        ([NOISE], 0.0),
        ([ZEROS], 0.1),
        ([ZEROS] * 7, 0.7),
        ([STUCK] * 7, 0.7),
        ([ZEROS] * 7 + [NOISE], 0.0),
        ([ZEROS] * 7 + [STUCK], 0.1),
        ([np.append(ZEROS[1:], np.float32(1e-6))], 0.0),
    ],
)
def test_it_lasts_as_long_as_the_value_does(blocks: list[Samples], still_s: float) -> None:
    assert after(*blocks) == pytest.approx(still_s)


def test_after_noise_it_lasts_since_the_noise_was_last_seen() -> None:
    """To within the block in which the noise ended."""
    assert after(NOISE, ZEROS, ZEROS) == pytest.approx(0.3)


def test_a_pause_before_the_zeros_counts() -> None:
    stillness = Stillness(RATE_HZ)
    assert stillness.of_s(NOISE, first_ns=0, read_ns=0) == 0
    assert stillness.of_s(ZEROS, first_ns=100 * MS, read_ns=1_900 * MS) == pytest.approx(2.0)
