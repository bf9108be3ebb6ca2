"""Sound as a person sees it: loudness, and columns of energy in bands that get wider with the pitch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from capture.samples import AudioWindow, Samples

BANDS = 64
COLUMNS_PER_S = 25
LOWEST_HZ = 60.0
FLOOR_DB = -100.0
"""Shown as 0; full scale is shown as 255."""
_RESOLUTION_S = 0.064
"""Of one column: fine enough to tell the lowest bands apart."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a stretch of sound adds to the picture."""

    columns: npt.NDArray[np.uint8]
    """(n, BANDS), the lowest band first."""
    rms_db: float
    peak_db: float
    """Of full scale, FLOOR_DB at least."""


class Spectrogram:
    """Of one microphone; sound comes in pieces of any length."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self._hop = max(1, rate_hz // COLUMNS_PER_S)
        self._size = 1 << int(rate_hz * _RESOLUTION_S).bit_length() - 1
        self._window = np.hanning(self._size).astype(np.float32)
        self._bands = _bands(self._size, rate_hz)
        self._rest = np.zeros(0, np.float32)
        self._place = 0
        """Where the sound that is expected next begins."""

    def hear(self, window: AudioWindow) -> Heard:
        """Windows that overlap the ones before count only with what is new."""
        known = self._place - window.start
        samples = window.samples[known:] if 0 < known <= len(window.samples) else window.samples
        if known < 0 or known > len(window.samples):  # something is missing, or the source was opened again
            self._rest = self._rest[:0]
        self._place = window.start + len(window.samples)
        self._rest = np.concatenate((self._rest, samples))
        columns = []
        while len(self._rest) >= self._size:
            columns.append(self._column(self._rest[: self._size]))
            self._rest = self._rest[self._hop :]
        shape = (len(columns), BANDS)
        return Heard(np.array(columns, np.uint8).reshape(shape), _db(_rms(samples)), _db(_peak(samples)))

    def _column(self, samples: Samples) -> npt.NDArray[np.uint8]:
        # A full-scale sine has a spectral line of a quarter of the window's length.
        power = np.square(np.abs(np.fft.rfft(samples * self._window)) * (4.0 / self._size))
        band = np.maximum.reduceat(power, self._bands)
        db = 10.0 * np.log10(np.maximum(band, 1e-12))
        return np.asarray(np.clip((db - FLOOR_DB) * (255.0 / -FLOOR_DB), 0, 255), np.uint8)


def _bands(size: int, rate_hz: int) -> npt.NDArray[np.intp]:
    """First line of each band; the last band ends with the spectrum."""
    edges_hz = np.geomspace(LOWEST_HZ, rate_hz / 2, BANDS + 1)[:-1]
    return np.asarray(np.minimum(edges_hz * size / rate_hz, size // 2), np.intp)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0


def _peak(samples: Samples) -> float:
    return float(np.max(np.abs(samples))) if len(samples) else 0.0


def _db(share: float) -> float:
    return round(max(FLOOR_DB, 20.0 * float(np.log10(max(share, 1e-9)))), 1)
