"""A recording for the model `tones`: each tone for a second, a second of near silence before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

TONE_HZ = {"low": 220.0, "middle": 880.0, "high": 3520.0}
"""One inside each band of the model."""
RATE_HZ = 16_000


def write_tones(folder: Path) -> Path:
    """As a WAV file in `folder`."""
    import soundfile  # type: ignore[import-untyped]  # it has no types

    dice = np.random.default_rng(0)
    time_s = np.arange(RATE_HZ) / RATE_HZ
    parts = []
    for hertz in TONE_HZ.values():
        parts.append(dice.standard_normal(RATE_HZ) * 1e-3)
        parts.append(0.3 * np.sin(2 * np.pi * hertz * time_s) + dice.standard_normal(RATE_HZ) * 1e-3)
    path = folder / "tones.wav"
    soundfile.write(path, np.concatenate(parts).astype(np.float32), RATE_HZ)
    return path
