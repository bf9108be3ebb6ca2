"""How sure a word must be to become an event: so sure that speech without digits makes next to none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from spoken_digits import export
from spoken_digits.bank import RATE_HZ, Sound, Word
from spoken_digits.evaluation import PEAK, Scores, scores
from spoken_digits.scenes import LABELS, WINDOW
from spoken_digits.words import DIGITS

from engines.bundle import Bundle
from engines.decode.keywords import Rules, Words
from engines.decode.loudness import Apart

THRESHOLDS = (0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75, 0.80)
MOST_PER_MINUTE = 0.2
"""False words in the speech that the threshold is chosen with: well below one, since other speech has other words."""
_RULES = Rules(
    labels=LABELS,
    words=tuple(range(len(DIGITS))),
    rate_hz=RATE_HZ,
    smooth=export.SMOOTH_MS * RATE_HZ / 1000,
    rest=export.REST_MS * RATE_HZ / 1000,
    least=True,
    apart=Apart(pause=export.PAUSE_MS * RATE_HZ / 1000, longest=WINDOW, faint_db=export.FAINT_DB),
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, and in view of what."""

    threshold: float
    per_minute: dict[float, dict[str, float]]
    """False words, by threshold and speech."""


def choose(bundle: Bundle, speeches: Mapping[str, Sound]) -> Choice:
    """The lowest of `THRESHOLDS` at which none of the speeches, none of which holds a digit, makes more false words
    than is allowed; the highest where none is high enough."""
    heard = dict(zip(speeches, scores(bundle, list(speeches.values())), strict=True))
    rates = {at: {name: per_minute(speeches[name], each, at) for name, each in heard.items()} for at in THRESHOLDS}
    good = [threshold for threshold, each in rates.items() if max(each.values()) <= MOST_PER_MINUTE]
    return Choice(min(good, default=THRESHOLDS[-1]), rates)


def per_minute(speech: Sound, heard: Scores, threshold: float) -> float:
    """False words."""
    return len(begun(speech, heard, threshold)) / (len(heard) * export.HOP / RATE_HZ / 60)


def begun(sound: Sound, heard: Scores, threshold: float) -> list[str]:
    """The words that begin in a stream, by the scores of all its windows: the decoder of the appliance."""
    words, found, before = Words(_RULES), [], None
    for number, each in enumerate(heard):
        start = number * export.HOP
        words.listen(sound[start : start + WINDOW], start)
        words.hear(each, start, start + WINDOW, threshold, max(threshold - export.LOWER_BY, 0.01))
        if words.held is not None and words.held != before:
            found.append(LABELS[words.held])
        before = words.held
    return found


def talk(sentences: Sequence[Word], seed: int) -> Sound:
    """All sentences one after the other with short pauses, over noise 45 dB below their peaks."""
    dice = np.random.default_rng(seed)
    pieces: list[Sound] = []
    for sentence in sentences:
        pieces += [PEAK * sentence.sound, np.zeros(int(dice.uniform(0.1, 0.6) * RATE_HZ), np.float32)]
    whole = np.concatenate(pieces)
    return np.asarray(whole + 0.006 * PEAK * dice.standard_normal(len(whole)), np.float32)
