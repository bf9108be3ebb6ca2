"""The sound of one source as numbered, stamped windows at the rate that was asked for."""

from __future__ import annotations

import time

from capture.resample import Resampler
from capture.samples import AudioWindow, Samples, Stamp


class Track:
    """Makes AudioWindows of the pieces that a device or a file gives, from the moment it was opened.

    Windows follow each other without a hole except where `gap` says so. Their length varies when the rate is converted.
    """

    def __init__(self, source: str, rate_in_hz: int, rate_hz: int, first_seq: int = 0) -> None:
        """CaptureError when the rates cannot be converted."""
        self._source = source
        self._rate_in_hz = rate_in_hz
        self._rate_hz = rate_hz
        self._resampler = Resampler(rate_in_hz, rate_hz)
        self._end = Stamp(0, 0)
        self._start = 0
        self._gap = 0
        self.next_seq = first_seq

    def add(self, samples: Samples, stamp: Stamp, lost: int = 0) -> AudioWindow | None:
        """The window that `samples` complete, if any; the track takes them over.

        `samples`: float32 (n,) at the device's rate; `stamp`: of the first one; `lost`: how many before it are missing.
        """
        if lost:
            self._skip(lost)
        held_ns = self._resampler.held_ns
        out = self._resampler.push(samples)
        self._end = stamp.shifted(len(samples) * 1_000_000_000 // self._rate_in_hz)
        return self._window(out, stamp.shifted(-held_ns))

    def finish(self) -> AudioWindow | None:
        """What the conversion still holds, at the end of a file."""
        held_ns = self._resampler.held_ns
        return self._window(self._resampler.flush(), self._end.shifted(-held_ns))

    def _skip(self, lost: int) -> None:
        """Begin anew after a hole; what the conversion still holds goes with it, and is counted."""
        lost_s = lost / self._rate_in_hz + self._resampler.held_ns / 1e9
        self._resampler.flush()
        missing = round(lost_s * self._rate_hz)
        self._gap += missing
        self._start += missing

    def _window(self, samples: Samples, stamp: Stamp) -> AudioWindow | None:
        if not len(samples):
            return None
        window = AudioWindow(
            source=self._source,
            seq=self.next_seq,
            stamp=stamp,
            samples=samples,
            rate_hz=self._rate_hz,
            gap=self._gap,
            ready_ns=time.monotonic_ns(),
            start=self._start,
        )
        self.next_seq += 1
        self._start += len(samples)
        self._gap = 0
        return window
