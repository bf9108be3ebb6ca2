"""Whether a row of samples rises, and how surely that can be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BLOCKS = 12
"""Samples are averaged in so many blocks first: neighbours resemble each other, and blocks much less."""
SURE = 2.2
"""Standard errors to either side: 95 of 100, with two numbers fitted to twelve (Student's t, 10 degrees of freedom)."""


@dataclass(frozen=True, slots=True)
class Trend:
    """A straight line through samples, and how far its slope may be off."""

    level: float
    """Mean of all samples."""
    per_h: float
    noise_per_h: float
    """The true slope lies within this of `per_h` in 95 of 100 cases."""
    hours: float
    """From the first sample to the last."""

    @property
    def most_grown(self) -> float:
        """What it may have grown by over the samples, at most."""
        return max(0.0, (self.per_h + self.noise_per_h) * self.hours)

    @property
    def least_grown(self) -> float:
        """What it has grown by for sure; 0 where that cannot be told from noise."""
        return max(0.0, (self.per_h - self.noise_per_h) * self.hours)


def trend(at_s: Sequence[float], values: Sequence[float]) -> Trend:
    """`at_s` rises. Raises ValueError for fewer than two samples a block."""
    if len(values) < 2 * BLOCKS:
        raise ValueError(f"{len(values)} samples say nothing of a trend; at least {2 * BLOCKS}")
    times = np.array([block.mean() for block in np.array_split(np.asarray(at_s, np.float64), BLOCKS)]) / 3600
    means = np.array([block.mean() for block in np.array_split(np.asarray(values, np.float64), BLOCKS)])
    away = times - times.mean()
    per_h = float((away * means).sum() / (away**2).sum())
    rest = means - means.mean() - per_h * away
    error = float(np.sqrt((rest**2).sum() / (BLOCKS - 2) / (away**2).sum()))
    hours = (at_s[-1] - at_s[0]) / 3600
    return Trend(float(np.mean(values)), per_h, SURE * error, hours)
