"""Is a microphone still alive? Told by its noise: a lost one delivers one and the same value for ever."""

from __future__ import annotations

import numpy as np

from capture.samples import Samples


class Stillness:
    """Tells for how long the sound has had one and the same value."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._value: np.float32 | None = None
        self._changed_ns: int | None = None

    def of_s(self, samples: Samples, first_ns: int, read_ns: int) -> float:
        """Seconds at the end of `samples`; 0 where these differ among themselves.

        `first_ns` is when the first of them was taken, `read_ns` the same if there was no delay. A sound server that
        moves a recording makes a pause of up to 2 s; it lies between the two, and so it counts.
        """
        value = samples[0]
        if not (samples == value).all():
            self._value, self._changed_ns = None, first_ns
            return 0.0
        if self._changed_ns is None or self._value not in (None, value):
            self._changed_ns = first_ns
        self._value = value
        return (read_ns - self._changed_ns) / 1e9 + len(samples) / self._rate_hz
