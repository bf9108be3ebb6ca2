"""Small arrays for tests."""

from __future__ import annotations

import numpy as np

from capture.samples import Pixels, Samples


def picture(width: int, height: int, value: int = 0) -> Pixels:
    """A BGR picture of one grey value."""
    return np.full((height, width, 3), value, np.uint8)


def silence(samples: int) -> Samples:
    return np.zeros(samples, np.float32)
