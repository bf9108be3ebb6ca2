"""What a sensor delivers: one picture, or one stretch of sound, with the time it was taken."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
Samples: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stamp:
    """One instant on both clocks."""

    mono_ns: int
    """CLOCK_MONOTONIC; the only clock that ages and latencies are computed from."""

    unix_ns: int
    """Wall clock, for other machines; wrong until the clock is synchronised."""

    @classmethod
    def now(cls) -> Stamp:
        return cls(time.monotonic_ns(), time.time_ns())

    def shifted(self, ns: int) -> Stamp:
        """The instant `ns` nanoseconds later (earlier when negative) on both clocks."""
        return Stamp(self.mono_ns + ns, self.unix_ns + ns)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture from one camera."""

    source: str
    """Name of the camera in the configuration."""

    seq: int
    """Counts every picture the camera delivered, from 0; a gap is a dropped picture."""

    stamp: Stamp
    """When the picture was grabbed, before it was decoded."""

    pixels: Pixels
    """uint8, (height, width, 3), BGR, read-only."""

    ready_ns: int
    """Monotonic time at which `pixels` could be used: decoded, turned, masked."""

    def __post_init__(self) -> None:
        self.pixels.flags.writeable = False

    @property
    def complete_ns(self) -> int:
        """Monotonic time from which the latency of an answer counts: the grab."""
        return self.stamp.mono_ns


@dataclass(frozen=True, slots=True, eq=False)
class AudioWindow:
    """A stretch of sound from one microphone."""

    source: str
    """Name of the microphone in the configuration."""

    seq: int
    """Counts the windows of this source, from 0; a gap is a dropped window."""

    stamp: Stamp
    """When the first sample was taken."""

    samples: Samples
    """float32, (n,), one channel, full scale is 1.0, read-only."""

    rate_hz: int
    """Samples per second."""

    gap: int
    """Samples known to be lost since the previous window; 0 when the sound is continuous."""

    ready_ns: int
    """Monotonic time at which `samples` could be used."""

    start: int = 0
    """Index of the first sample since the source was opened, lost samples counted."""

    def __post_init__(self) -> None:
        self.samples.flags.writeable = False

    @property
    def complete_ns(self) -> int:
        """Monotonic time from which the latency of an answer counts: the last sample."""
        return self.stamp.mono_ns + len(self.samples) * 1_000_000_000 // self.rate_hz


Sample: TypeAlias = "Frame | AudioWindow"
