"""Words that come with the appliance, strung together: something to hear where there is no microphone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from capture.samples import Samples
from capture.source import CaptureError

RATE_HZ = 16_000
WORDS = Path(__file__).parent / "demo_words"
"""Short recordings, one word each, by synthetic voices: WORD-VOICE.flac, 16 kHz, mono."""
PAUSES_S = 0.9, 1.5
NOISE = 1e-3
"""Of full scale: a room is never quite silent."""


def chosen(count: int, seed: int = 0) -> list[tuple[str, Path]]:
    """`count` words with their files, in any order, never the same word twice in a row."""
    random = np.random.default_rng(seed)
    files = sorted(WORDS.glob("*-*.flac"))
    words: list[tuple[str, Path]] = []
    while len(words) < count:
        file = files[int(random.integers(len(files)))]
        word = file.name.partition("-")[0]
        if not words or word != words[-1][0]:
            words.append((word, file))
    return words


def write_spoken(into: Path, count: int = 40, seed: int = 0) -> Path:
    """The `chosen` words with pauses between them as a 16-bit WAV file; returns `into`.

    CaptureError where there is no soundfile.
    """
    try:
        import soundfile  # type: ignore[import-untyped] # it has no types
    except ImportError as error:
        raise CaptureError("soundfile is not installed: pip install soundfile") from error
    random = np.random.default_rng(seed)
    parts = [_pause(random)]
    for _, file in chosen(count, seed):
        sound, rate_hz = soundfile.read(file, dtype="float32")
        assert rate_hz == RATE_HZ, f"{file.name}: {rate_hz} Hz"
        parts += [sound, _pause(random)]
    whole = np.concatenate(parts)
    whole += NOISE * random.standard_normal(len(whole)).astype(np.float32)
    soundfile.write(into, whole.clip(-1, 1), RATE_HZ, subtype="PCM_16")
    return into


def _pause(random: np.random.Generator) -> Samples:
    return np.zeros(int(random.uniform(*PAUSES_S) * RATE_HZ), np.float32)
