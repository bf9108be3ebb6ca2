"""Raw pictures and frames for tests of the capture package."""

from __future__ import annotations

import numpy as np

from capture.samples import Frame, Pixels, Stamp


def noise(seed: int = 0, width: int = 320, height: int = 180, spread: int = 6) -> Pixels:
    """A grey picture with the noise of a sensor."""
    random = np.random.default_rng(seed)
    return np.asarray(110 + random.integers(-spread, spread + 1, (height, width, 3)), np.uint8)


def frame(pixels: Pixels, at_s: float, seq: int = 0) -> Frame:
    """A frame of the camera `gate`, grabbed `at_s` seconds after the clock's zero."""
    ns = round(at_s * 1e9)
    return Frame("gate", seq, Stamp(ns, ns), pixels, ready_ns=ns)
