"""The first stage: 16 kHz sound to log-mel bands, as convolution and matrix product, so that any back end runs it.

25 ms Hann windows every 12.5 ms; power in 32 mel bands (HTK's scale) from 60 to 3700 Hz, in natural logarithm. That is
what passes through a telephone: recordings at 8 kHz and at 16 kHz look alike, and no band tells one from the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from spoken_digits.bank import RATE_HZ

FRAME, STEP = RATE_HZ * 25 // 1000, RATE_HZ * 125 // 10_000
BANDS, LOW_HZ, HIGH_HZ = 32, 60.0, 3700.0
FLOOR = 1e-7
"""Added to the power of a band: about -70 dB below a full-scale tone."""


_STEP_HZ = RATE_HZ / FRAME
BINS_HZ = np.arange(np.ceil(LOW_HZ / _STEP_HZ), np.floor(HIGH_HZ / _STEP_HZ) + 1) * _STEP_HZ
"""The multiples of 40 Hz that a band uses."""


def hann() -> NDArray[np.float32]:
    """(FRAME,): the window; a full-scale tone comes out with power 1."""
    window = np.hanning(FRAME + 1)[:-1]
    return np.asarray(window / (window.sum() / 2), np.float32)


def filters() -> NDArray[np.float32]:
    """(2 * bins, 1, FRAME): windowed cosines, then sines, of every bin."""
    turns = 2 * np.pi * BINS_HZ[:, np.newaxis] * np.arange(FRAME) / RATE_HZ
    return (np.concatenate([np.cos(turns), np.sin(turns)]) * hann())[:, np.newaxis].astype(np.float32)


def mel_weights(size: float = 1.0) -> NDArray[np.float32]:
    """(BANDS, bins): overlapping triangles, evenly spaced in mel and at least a bin wide, each of sum 1.

    `size` other than 1 reads each band from `size` times its frequency, so that the speaker seems that much larger;
    towards HIGH_HZ the bend runs out (vocal tract length perturbation: Jaitly and Hinton, 2013).
    """
    edges_hz = _hertz(np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), BANDS + 2))
    knee_hz = 0.8 * HIGH_HZ / max(size, 1.0)
    edges_hz = np.interp(edges_hz, (0.0, knee_hz, HIGH_HZ), (0.0, size * knee_hz, HIGH_HZ))[:, np.newaxis]
    lower, centre, upper = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = 1 - (centre - BINS_HZ) / np.maximum(centre - lower, _STEP_HZ)
    falling = 1 - (BINS_HZ - centre) / np.maximum(upper - centre, _STEP_HZ)
    weights = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def _mel(hertz: float) -> float:
    return float(2595 * np.log10(1 + hertz / 700))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(700 * (10 ** (mel / 2595) - 1))
