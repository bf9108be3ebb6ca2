"""The material: every word and sentence that windows are made of, as 16 kHz sound without silence at its ends."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile  # type: ignore[import-untyped]  # it ships no types
import soxr  # type: ignore[import-untyped]  # it ships no types
from numpy.typing import NDArray
from spoken_digits.voices import Utterance, Voice, say_all, voices
from spoken_digits.words import ACCENTS, DECOYS, DIGITS, sentence

RATE_HZ = 16_000
SPEAKERS = ("george", "jackson", "lucas", "nicolas")
"""In github.com/Jakobovski/free-spoken-digit-dataset, licence CC BY-SA 4.0, as far as the data set is used here."""

Sound = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Word:
    """One thing said once."""

    said: str
    digit: int | None
    speaker: str
    sound: Sound
    """(n,), peak 1."""


def recordings(folder: Path) -> list[Path]:
    """The recorded digits: files named `<digit>_<speaker>_<number>.wav`, of the speakers that are known here."""
    paths = sorted(folder.glob("[0-9]_*_*.wav"))
    if not paths:
        raise SystemExit(
            f"{folder}: no recordings named <digit>_<speaker>_<number>.wav: give the folder `recordings` of "
            "https://github.com/Jakobovski/free-spoken-digit-dataset"
        )
    return [path for path in paths if speaker_of(path) in SPEAKERS]


def speaker_of(recording: Path) -> str:
    return recording.stem.split("_")[1]


def recorded(path: Path, *, whole: bool = False) -> Word:
    """What one recording says; `whole`: with whatever silence is at its ends."""
    digit = int(path.stem.split("_")[0])
    return Word(DIGITS[digit], digit, speaker_of(path), _level(read(path)) if whole else load(path))


def synthesised(digits: int, decoys: int, sentences: int, seed: int) -> tuple[list[Word], list[Word]]:
    """So many words each: `digits` times every digit, and `decoys` words that are none; and so many sentences."""
    dice = random.Random(seed)  # noqa: S311 - nothing secret
    cast = voices(dice)
    orders: list[tuple[Utterance, str, int | None]] = []
    for _ in range(digits):
        for digit, word in enumerate(DIGITS):
            voice = next(cast)
            text = word if voice.language == "en" else ACCENTS[voice.language][digit]
            orders.append((_order(text, voice, dice), word, digit))
    english = (voice for voice in cast if voice.language == "en")
    for number in range(decoys):
        word = DECOYS[number % len(DECOYS)]
        orders.append((_order(word, next(english), dice), word, None))
    for _ in range(sentences):
        orders.append((_order(sentence(dice), next(english), dice), "", None))
    with tempfile.TemporaryDirectory() as scratch:
        paths = say_all([order for order, _, _ in orders], Path(scratch))
        made = [
            Word(said, digit, str(order.voice), load(path))
            for (order, said, digit), path in zip(orders, paths, strict=True)
            if path is not None
        ]
    usable = [word for word in made if len(word.sound) > 0.12 * RATE_HZ and (not word.said or len(word.sound) < 1.6e4)]
    return [word for word in usable if word.said], [word for word in usable if not word.said]


def _order(text: str, voice: Voice, dice: random.Random) -> Utterance:
    return Utterance(text, voice, tempo=dice.uniform(0.8, 1.35), pitch=dice.uniform(0.75, 1.3))


def load(path: Path | BinaryIO) -> Sound:
    """A sound file at 16 kHz, one channel, without what lies 40 dB below its loudest part at the ends, peak 1."""
    return trimmed(read(path))


def read(path: Path | BinaryIO) -> Sound:
    """A sound file at 16 kHz, one channel, as it is."""
    samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ), np.float32)


def _level(sound: Sound) -> Sound:
    return sound / max(1e-6, float(np.abs(sound).max()))


def trimmed(sound: Sound, below_db: float = 40.0) -> Sound:
    """Without quiet ends, peak 1; nothing but silence stays as it is."""
    step = RATE_HZ // 100
    frames = sound[: len(sound) // step * step].reshape(-1, step)
    power = (frames.astype(np.float64) ** 2).mean(axis=1)
    if not len(power) or power.max() <= 0:
        return sound
    loud = np.flatnonzero(power > power.max() * 10 ** (-below_db / 10))
    return np.ascontiguousarray(_level(sound[loud[0] * step : (loud[-1] + 1) * step]))
