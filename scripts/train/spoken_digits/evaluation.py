"""How good it is: on single words of a speaker it never heard, on streams of them, and on speech without digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from spoken_digits.bank import RATE_HZ, Sound, Word
from spoken_digits.scenes import LABELS, WINDOW
from spoken_digits.words import DIGITS

from engines.bundle import Bundle
from engines.engine import EngineError
from engines.manifest import AudioInput
from engines.model import Model
from engines.onnxrt import OnnxEngine
from engines.predictions import Label

Scores = NDArray[np.float32]
"""(windows, labels)"""
PLACES = ("start", "middle", "end")
"""Where in the window a word lies."""
PEAK = 0.5


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of the words in a stream."""

    said: int
    right: int
    missed: int
    """Not heard, or heard as another word."""
    surplus: int
    """Heard twice, or where nothing was said."""


def confusion(bundle: Bundle, words: Sequence[Word], place: str) -> NDArray[np.int64]:
    """(digits, labels): how often a digit was given which label, each word alone in one window."""
    counts = np.zeros((len(DIGITS), len(LABELS)), np.int64)
    first, second = (bundle.stage_path(stage.name) for stage in bundle.manifest.stages)
    with OnnxEngine(first) as spectrogram, OnnxEngine(second) as recogniser:
        for word in words:
            window = placed(word.sound, place)[np.newaxis]
            [scores] = recogniser.run(spectrogram.run({"sound": window})).values()
            counts[word.digit, int(scores.argmax())] += 1
    return counts


def placed(sound: Sound, place: str) -> Sound:
    """(WINDOW,): the word in digital silence; of one that is too long the middle."""
    window = np.zeros(WINDOW, np.float32)
    spare = WINDOW - len(sound)
    if spare < 0:
        return np.asarray(PEAK * sound[-spare // 2 :][:WINDOW], np.float32)
    at = {"start": 0, "middle": spare // 2, "end": spare}[place]
    window[at : at + len(sound)] = PEAK * sound
    return window


def accuracy(counts: NDArray[np.int64]) -> float:
    """Share of the words that were given their own label."""
    return float(np.trace(counts) / counts.sum())


def stream(words: Sequence[Word], seed: int, pause_s: tuple[float, float] = (0.4, 1.2)) -> Sound:
    """All words one after the other with pauses of random length, over noise 40 dB below their peaks."""
    dice = np.random.default_rng(seed)
    pieces = [np.zeros(RATE_HZ, np.float32)]
    for word in words:
        pieces += [PEAK * word.sound, np.zeros(int(dice.uniform(*pause_s) * RATE_HZ), np.float32)]
    whole = np.concatenate([*pieces, np.zeros(RATE_HZ, np.float32)])
    return np.asarray(whole + 0.01 * PEAK * dice.standard_normal(len(whole)), np.float32)


def alone(words: Sequence[Word], seed: int) -> list[Sound]:
    """Each word said once into a quiet room."""
    dice, pause = np.random.default_rng(seed), np.zeros(RATE_HZ, np.float32)
    streams = [np.concatenate([pause, PEAK * word.sound, pause]) for word in words]
    return [np.asarray(each + 0.003 * PEAK * dice.standard_normal(len(each)), np.float32) for each in streams]


def scores(bundle: Bundle, sounds: Sequence[Sound]) -> list[Scores]:
    """Of each sound, what every window of it scores."""
    spec = bundle.manifest.input
    assert isinstance(spec, AudioInput)
    first, second = (bundle.stage_path(stage.name) for stage in bundle.manifest.stages)
    found: list[Scores] = []
    with OnnxEngine(first) as spectrogram, OnnxEngine(second) as recogniser:
        for sound in sounds:
            windows = np.lib.stride_tricks.sliding_window_view(sound, spec.samples)[:: spec.hop]
            each = [recogniser.run(spectrogram.run({"sound": w[np.newaxis]}))["scores"].copy() for w in windows]
            found.append(np.concatenate(each))
    return found


def words_in(model: Model, sound: Sound) -> list[str]:
    """Every digit that begins in a stream, in order: what the appliance publishes an event for."""
    spec = model.manifest.input
    assert isinstance(spec, AudioInput)
    listening, found, before = model.new_stream(), [], ""
    for start in range(0, len(sound) - spec.samples + 1, spec.hop):
        answer = model.predict([sound[start : start + spec.samples]], [listening])[0]
        if isinstance(answer, EngineError):
            raise answer
        said = [each.label for each in answer.predictions if isinstance(each, Label) and each.label in DIGITS]
        now = said[0] if said else ""
        if now and now != before:
            found.append(now)
        before = now
    return found


def compared(said: Sequence[str], heard: Sequence[str]) -> Heard:
    """By the alignment with the fewest edits; a word heard as another counts as missed, not as surplus too."""
    cost = np.zeros((len(said) + 1, len(heard) + 1), np.int64)
    cost[:, 0], cost[0, :] = np.arange(len(said) + 1), np.arange(len(heard) + 1)
    for row in range(1, len(said) + 1):
        for column in range(1, len(heard) + 1):
            changed = cost[row - 1, column - 1] + (said[row - 1] != heard[column - 1])
            cost[row, column] = min(changed, cost[row - 1, column] + 1, cost[row, column - 1] + 1)
    row, column, right, missed, surplus = len(said), len(heard), 0, 0, 0
    while row or column:
        same = row and column and said[row - 1] == heard[column - 1]
        if row and column and cost[row, column] == cost[row - 1, column - 1] + (not same):
            right, missed, row, column = right + bool(same), missed + (not same), row - 1, column - 1
        elif row and cost[row, column] == cost[row - 1, column] + 1:
            missed, row = missed + 1, row - 1
        else:
            surplus, column = surplus + 1, column - 1
    return Heard(len(said), right, missed, surplus)
