"""Sound from one sample rate to another, piece by piece."""

from __future__ import annotations

from typing import Any

import numpy as np

from capture.samples import Samples
from capture.source import CaptureError

QUALITY = "HQ"
"""soxr's own default: pass band to 0.91 of the lower Nyquist frequency, rejection 120 dB."""


class Resampler:
    """Converts one channel; equal rates pass through untouched, without a copy.

    Output sample k is the sound k / rate_out seconds after the first input sample: soxr takes its filter's delay out of
    the output and pays with holding sound back instead, `held_ns` of it. Measured with blocks of 32 ms, at most: 40 ms
    from 44.1 or 48 to 16 kHz, 80 ms from 96, 120 ms from 8; so much later the sound comes out. About 0.01 ms per block.
    """

    def __init__(self, rate_in_hz: int, rate_out_hz: int) -> None:
        """CaptureError when soxr is missing or cannot convert between these rates."""
        self._rate_in_hz = rate_in_hz
        self._rate_out_hz = rate_out_hz
        self._pushed = 0
        self._returned = 0
        self._stream = None if rate_in_hz == rate_out_hz else _stream(rate_in_hz, rate_out_hz)

    def push(self, samples: Samples) -> Samples:
        """float32 (n,) in; out whatever is complete by now, (m,), often nothing and then twice as much."""
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(samples)
        self._pushed += len(samples)
        self._returned += len(out)
        return out

    def flush(self) -> Samples:
        """What is still held; the next `push` begins a new sound."""
        if self._stream is None:
            return np.empty(0, np.float32)
        out: Samples = self._stream.resample_chunk(np.empty(0, np.float32), last=True)
        self._stream.clear()
        self._pushed = self._returned = 0
        return out

    @property
    def held_ns(self) -> int:
        """Sound pushed but not yet returned. The next output begins this long before the next input does."""
        pushed_ns = self._pushed * 1_000_000_000 // self._rate_in_hz
        return pushed_ns - self._returned * 1_000_000_000 // self._rate_out_hz


def _stream(rate_in_hz: int, rate_out_hz: int) -> Any:
    """A soxr.ResampleStream."""
    try:
        import soxr  # type: ignore[import-untyped] # it has no types
    except ImportError as e:
        raise CaptureError("soxr is not installed: pip install soxr") from e
    try:
        return soxr.ResampleStream(rate_in_hz, rate_out_hz, 1, dtype="float32", quality=QUALITY)
    except (RuntimeError, ValueError) as e:  # the library's border
        raise CaptureError(f"cannot convert sound from {rate_in_hz} to {rate_out_hz} Hz: {e}") from e
