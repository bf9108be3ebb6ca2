"""Sound as time and frequency, and back without loss: a short-time Fourier transform with Hann windows."""

from __future__ import annotations

import numpy as np

from engines.engine import Array

HOPS_PER_WINDOW = 4


class Spectrum:
    """One stretch of sound, to be heard with parts of it hidden."""

    def __init__(self, samples: Array, rate_hz: int, bands: int) -> None:
        """`samples` float32 (n,). `bands`: rows of the masks, equally wide on the mel scale, the lowest first."""
        self._count = len(samples)
        self._hop = max(1, 2 ** round(np.log2(0.008 * rate_hz)))
        size = HOPS_PER_WINDOW * self._hop
        self._window = np.hanning(size + 1)[:-1]  # periodic: shifted by a hop, squares sum to the same everywhere
        padded = np.pad(samples.astype(np.float64), (size, 2 * size))
        starts = np.arange(0, self._count + size, self._hop)
        self._frames = np.fft.rfft(padded[starts[:, np.newaxis] + np.arange(size)] * self._window, axis=1)
        nyquist = _mel(rate_hz / 2)
        share = _mel(np.fft.rfftfreq(size, 1 / rate_hz)) / nyquist
        self._row_of_bin = np.minimum((share * bands).astype(np.intp), bands - 1)
        self.edges_hz = _hertz(np.linspace(0, nyquist, bands + 1))
        """(bands + 1,), the limits of the rows."""
        self.shape = (bands, len(self._frames))
        """Rows and columns of a mask."""
        self.column_s = self._hop / rate_hz
        self.first_s = -0.5 * size / rate_hz
        """Middle of the first column."""

    def masked(self, mask: Array) -> Array:
        """The sound where `mask` (`shape`, 0 to 1) is 1, silence where it is 0: float32 (n,)."""
        gains = mask[self._row_of_bin].T
        pieces = np.fft.irfft(self._frames * gains, n=len(self._window), axis=1) * self._window
        size, hop = len(self._window), self._hop
        total = np.zeros(hop * (len(pieces) - 1) + size)
        weight = np.zeros_like(total)
        for number, piece in enumerate(pieces):
            total[number * hop : number * hop + size] += piece
            weight[number * hop : number * hop + size] += self._window**2
        sound = total[size : size + self._count] / np.maximum(weight[size : size + self._count], 1e-9)
        return np.asarray(sound, np.float32)

    def decibels(self) -> Array:
        """`shape`: the loudest bin of every row, at least 80 dB below the loudest of all, for drawing."""
        power = np.abs(self._frames) ** 2
        rows = np.full(self.shape, np.nan)
        for row in range(self.shape[0]):
            bins = power[:, self._row_of_bin == row]
            if bins.shape[1]:
                rows[row] = bins.max(axis=1)
        for row in np.flatnonzero(np.isnan(rows[:, 0]))[::-1]:  # narrow rows hold no bin: as the next above
            rows[row] = rows[min(row + 1, len(rows) - 1)]
        level = 10 * np.log10(np.maximum(np.nan_to_num(rows), 1e-20))
        return np.asarray(np.maximum(level, level.max() - 80))


def _mel(hertz: Array | float) -> Array:
    """O'Shaughnessy's formula, the usual one."""
    return np.asarray(2595 * np.log10(1 + np.asarray(hertz) / 700))


def _hertz(mel: Array) -> Array:
    return np.asarray(700 * (10 ** (mel / 2595) - 1))
