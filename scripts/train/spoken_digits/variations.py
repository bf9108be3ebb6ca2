"""One recording as said by a smaller or larger speaker, more quickly or more slowly."""

from __future__ import annotations

import numpy as np
import soxr  # type: ignore[import-untyped]  # it ships no types
from spoken_digits.bank import RATE_HZ, Sound

_FRAME = RATE_HZ * 32 // 1000
_STEP = _FRAME // 2
_SEARCH = RATE_HZ * 10 // 1000
_LONGEST = RATE_HZ * 120 // 100


def varied(sound: Sound, dice: np.random.Generator) -> Sound:
    """Pitch and formants moved together by up to a fifth (a resampling: the size of the speaker), then the tempo."""
    tempo = float(np.exp(dice.uniform(-0.25, 0.25)))
    moved = resized(sound, dice)
    tempo = max(tempo, len(moved) / _LONGEST)
    made = stretched(moved, 1 / tempo)
    return np.asarray(made / max(1e-6, float(np.abs(made).max())), np.float32)


def resized(sound: Sound, dice: np.random.Generator) -> Sound:
    """Pitch and formants moved together, and the tempo with them."""
    return np.asarray(soxr.resample(sound, 1.0, float(np.exp(dice.uniform(-0.18, 0.2)))), np.float32)


def stretched(sound: Sound, factor: float) -> Sound:
    """`factor` times as long at the same pitch: overlapping frames, each shifted by up to 10 ms to where it continues
    the one before best (WSOLA: Verhelst and Roelands, 1993)."""
    if len(sound) < 2 * _FRAME or abs(factor - 1) < 0.02:
        return sound
    padded = np.pad(sound, (_SEARCH, _SEARCH + 2 * _FRAME))
    frames = int(len(sound) * factor) // _STEP
    window = np.hanning(_FRAME + 1)[:-1].astype(np.float32)
    made = np.zeros((frames + 2) * _STEP, np.float32)
    previous = _SEARCH
    for number in range(frames):
        at = _SEARCH + int(number * _STEP / factor)
        if number:
            wanted = padded[previous + _STEP : previous + _STEP + _FRAME]
            around = padded[at - _SEARCH : at + _SEARCH + _FRAME]
            at += int(np.argmax(np.correlate(around, wanted, "valid"))) - _SEARCH
        made[number * _STEP : number * _STEP + _FRAME] += window * padded[at : at + _FRAME]
        previous = min(at, len(padded) - 2 * _FRAME)
    return made[: frames * _STEP]
