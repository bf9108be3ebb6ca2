"""What a microphone hears beside a voice, made from nothing but dice: coloured noise, hum, clicks, notes, babble."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from spoken_digits.bank import RATE_HZ, Sound, Word


def coloured(seconds: float, dice: np.random.Generator) -> Sound:
    """Noise whose power falls as f^-a, a of -0.5 (hiss) to 2.2 (rumble), with a few broad peaks, and swelling."""
    count = int(seconds * RATE_HZ)
    hertz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    shape = np.maximum(hertz, 20.0) ** (-dice.uniform(-0.5, 2.2) / 2)
    for _ in range(dice.integers(0, 4)):
        centre, width = dice.uniform(80, 4000), dice.uniform(0.1, 0.6)
        shape *= 1 + dice.uniform(0, 4) * np.exp(-((np.log(np.maximum(hertz, 20) / centre) / width) ** 2))
    spectrum = shape * (dice.standard_normal(len(hertz)) + 1j * dice.standard_normal(len(hertz)))
    time_s = np.arange(count) / RATE_HZ
    swell = 1 + dice.uniform(0, 0.8) * np.sin(2 * np.pi * dice.uniform(0.2, 6) * time_s + dice.uniform(0, 6))
    return _level(np.fft.irfft(spectrum, count) * swell)


def hum(seconds: float, dice: np.random.Generator) -> Sound:
    """Mains, or a motor: up to 20 harmonics over a little noise."""
    time_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    base = float(dice.choice([50.0, 60.0, 100.0, 120.0, dice.uniform(40, 300)]))
    made = 0.05 * dice.standard_normal(len(time_s))
    for number in range(1, int(dice.integers(2, 20))):
        made += dice.uniform(0, 1) / number * np.sin(2 * np.pi * base * number * time_s + dice.uniform(0, 6))
    return _level(made)


def clicks(seconds: float, dice: np.random.Generator) -> Sound:
    """Knocks, keys and crackle: short bursts that ring at some frequency."""
    count = int(seconds * RATE_HZ)
    made = 0.01 * dice.standard_normal(count)
    for _ in range(int(seconds * dice.uniform(1, 12)) + 1):
        length = int(dice.uniform(0.003, 0.12) * RATE_HZ)
        at = int(dice.integers(0, max(1, count - length)))
        time_s = np.arange(length) / RATE_HZ
        ring = np.sin(2 * np.pi * dice.uniform(100, 5000) * time_s) + dice.uniform(0, 1) * dice.standard_normal(length)
        made[at : at + length] += dice.uniform(0.2, 1) * ring * np.exp(-time_s / dice.uniform(0.001, 0.03))
    return _level(made)


def notes(seconds: float, dice: np.random.Generator) -> Sound:
    """Music-like: chords of a few harmonics that are struck or swell, sometimes gliding, with vibrato."""
    count = int(seconds * RATE_HZ)
    made = 0.003 * dice.standard_normal(count)
    at = 0
    while at < count:
        length = min(int(dice.uniform(0.1, 1.0) * RATE_HZ), count - at)
        time_s = np.arange(length) / RATE_HZ
        for _ in range(dice.integers(1, 5)):
            base = 55 * 2 ** (dice.integers(0, 48) / 12)
            wave = base * time_s + dice.uniform(-0.2, 0.2) * base * time_s**2 * (dice.random() < 0.3)
            wave += dice.uniform(0, 0.01) * base / 5 * np.sin(2 * np.pi * 5 * time_s)
            falling = np.exp(-time_s / dice.uniform(0.05, 1.5)) * np.minimum(1, time_s / dice.uniform(0.002, 0.08))
            for harmonic in range(1, int(dice.integers(2, 9))):
                made[at : at + length] += dice.uniform(0, 1) / harmonic * falling * np.sin(2 * np.pi * harmonic * wave)
        at += length
    return _level(made)


def babble(seconds: float, speech: Sequence[Word], dice: np.random.Generator) -> Sound:
    """Three to eight sentences at once, over and over."""
    count = int(seconds * RATE_HZ)
    made = np.zeros(count)
    for _ in range(int(dice.integers(3, 9))):
        at = -int(dice.integers(0, 2 * RATE_HZ))
        while at < count:
            said = speech[int(dice.integers(len(speech)))].sound
            first, last = max(at, 0), min(at + len(said), count)
            if last > first:
                made[first:last] += dice.uniform(0.3, 1) * said[first - at : last - at]
            at += len(said)
    return _level(made)


def _level(sound: np.ndarray) -> Sound:
    """At an effective value of 1."""
    return np.asarray(sound / max(1e-9, float(np.sqrt((sound**2).mean()))), np.float32)
