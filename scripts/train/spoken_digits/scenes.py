"""Windows of one second with a label: what was said when, before any room, noise or microphone comes in.

The rule that the network is to learn: a digit that is said on its own and heard whole, wherever in the window, is that
digit; of several words the one across the middle counts. Anything else that was said is `unknown`: other words, running
speech, a digit of which a good part is missing, the gap between two words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from spoken_digits.bank import RATE_HZ, Sound, Word
from spoken_digits.words import DIGITS

LABELS = (*DIGITS, "silence", "unknown")
SILENCE, UNKNOWN = len(DIGITS), len(DIGITS) + 1
WINDOW = RATE_HZ

_MIX = {
    "alone": 0.38,
    "among": 0.12,
    "decoy": 0.12,
    "running": 0.20,
    "part": 0.05,
    "between": 0.04,
    "spoiled": 0.04,
    "silence": 0.05,
}
"""How often each kind of scene is made."""
_KINDS = list(_MIX)
_CHANCES = np.array(list(_MIX.values())) / sum(_MIX.values())


_RECORDED = 0.5
"""Share of the digits that people said, each of them as often as the others."""
_RECORDED_DECOYS = 0.3
_BEGUN_LATE = 0.35
"""Share of the digits whose first consonant is missing where it is soft, as it is when somebody or something cut a
recording by its level, or a noise covers it."""


class Scenes:
    """Draws windows from the material."""

    def __init__(
        self, recorded: Sequence[Word], spoken: Sequence[Word], sentences: Sequence[Word], dice: np.random.Generator
    ) -> None:
        """`recorded`: words of people, `spoken`: of synthesisers; digits and decoys."""
        self._dice = dice
        self._sentences = [word.sound for word in sentences]
        self._decoys = [[word.sound for word in words if word.digit is None] for words in (recorded, spoken)]
        people = sorted({word.speaker for word in recorded if word.digit is not None})
        self._people = [
            [_of_digit([word for word in recorded if word.speaker == person], digit) for digit in range(len(DIGITS))]
            for person in people
        ]  # [person][digit]
        self._machines = [_of_digit(spoken, digit) for digit in range(len(DIGITS))]

    def batch(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """(count, WINDOW) sound, (count,) labels."""
        sound = np.zeros((count, WINDOW), np.float32)
        labels = np.empty(count, np.int64)
        kinds = self._dice.choice(len(_KINDS), count, p=_CHANCES)
        for row in range(count):
            labels[row] = getattr(self, f"_{_KINDS[kinds[row]]}")(sound[row])
        return sound, labels

    def _alone(self, into: Sound) -> int:
        """As often as anywhere it lies at one of the window's ends, where a file that holds one word has it."""
        digit = int(self._dice.integers(len(DIGITS)))
        said = self._digit(digit)
        spare = WINDOW - len(said)
        if spare <= 0:
            at = spare // 2
        elif self._dice.random() < 0.5:
            at = int(self._dice.integers(0, spare + 1))
        else:
            from_end = int(min(spare, self._dice.exponential(0.02 * RATE_HZ)))
            at = from_end if self._dice.random() < 0.5 else spare - from_end
        _put(into, said, at)
        return digit

    def _among(self, into: Sound) -> int:
        """A digit about the middle, between other words, after and before which there is a pause."""
        digit = int(self._dice.integers(len(DIGITS)))
        said = self._digit(digit)
        at = WINDOW // 2 - len(said) // 2 + int(self._dice.uniform(-0.12, 0.12) * RATE_HZ)
        at = min(max(at, -len(said) // 20), max(WINDOW - len(said) * 19 // 20, at if len(said) > WINDOW else 0))
        _put(into, said, at)
        self._neighbours(into, at, at + len(said), 0.06)
        return digit

    def _decoy(self, into: Sound) -> int:
        said = self._other()
        at = int(self._dice.integers(-len(said) // 2, WINDOW - len(said) // 2))
        _put(into, said, at)
        if self._dice.random() < 0.3:
            self._neighbours(into, at, at + len(said), 0.03)
        return UNKNOWN

    def _running(self, into: Sound) -> int:
        said = self._pick(self._sentences)
        _put(into, said, -int(self._dice.integers(-WINDOW // 3, max(1, len(said) - WINDOW // 3))))
        return UNKNOWN

    def _part(self, into: Sound) -> int:
        """A digit that the window cuts: a tenth to less than a half of it is all there is."""
        said = self._digit(int(self._dice.integers(len(DIGITS))))
        seen = int(self._dice.uniform(0.12, 0.45) * len(said))
        _put(into, said, seen - len(said) if self._dice.random() < 0.5 else WINDOW - seen)
        return UNKNOWN

    def _between(self, into: Sound) -> int:
        """The middle lies between two words, and neither is heard whole."""
        first, second = (self._digit(int(self._dice.integers(len(DIGITS)))) for _ in range(2))
        middle = WINDOW // 2 + int(self._dice.uniform(-0.1, 0.1) * RATE_HZ)
        pause = int(self._dice.uniform(0.2, 0.6) * RATE_HZ)
        before, after = middle - pause // 2, middle + pause // 2
        _put(into, first, min(before, len(first) // 2) - len(first))
        _put(into, second, max(after, WINDOW - len(second) // 2))
        return UNKNOWN

    def _spoiled(self, into: Sound) -> int:
        """No word at all, but made of people's voices: halves of two digits, or a digit backwards."""
        first = self._digit(int(self._dice.integers(len(DIGITS))))
        if self._dice.random() < 0.4:
            said = first[::-1]
        else:
            second = self._digit(int(self._dice.integers(len(DIGITS))))
            cut = self._dice.uniform(0.35, 0.65)
            said = _spliced(second[: int(len(second) * cut)], first[: int(len(first) * cut)])
            if self._dice.random() < 0.5:
                said = _spliced(first[int(len(first) * cut) :], second[int(len(second) * cut) :])
        _put(into, said, int(self._dice.integers(-len(said) // 4, max(1, WINDOW - len(said) * 3 // 4))))
        return UNKNOWN

    def _silence(self, into: Sound) -> int:
        return SILENCE

    def _neighbours(self, into: Sound, first: int, last: int, least_s: float) -> None:
        """Words before `first` and after `last`, with a pause of `least_s` or more, where they have room."""
        for before in (True, False):
            if self._dice.random() < 0.3:
                continue
            other = self._other() if self._dice.random() < 0.3 else self._digit(int(self._dice.integers(len(DIGITS))))
            pause = int(self._dice.uniform(least_s, 0.5) * RATE_HZ)
            _put(into, other, first - pause - len(other) if before else last + pause)

    def _digit(self, digit: int) -> Sound:
        sources = self._machines
        if self._people and self._dice.random() < _RECORDED:
            sources = self._people[int(self._dice.integers(len(self._people)))]
        said = self._pick(sources[digit])
        if self._dice.random() < _BEGUN_LATE:
            said = _begun_late(said, below_db=self._dice.uniform(10, 30))
        return np.asarray(said * float(10 ** self._dice.uniform(-0.4, 0)), np.float32)

    def _other(self) -> Sound:
        """A word that is no digit."""
        recorded, spoken = self._decoys
        return self._pick(recorded if recorded and self._dice.random() < _RECORDED_DECOYS else spoken)

    def _pick(self, sounds: Sequence[Sound]) -> Sound:
        return sounds[int(self._dice.integers(len(sounds)))]


def _of_digit(words: Sequence[Word], digit: int) -> list[Sound]:
    return [word.sound for word in words if word.digit == digit]


def _begun_late(said: Sound, below_db: float) -> Sound:
    """Without what comes before the first 10 ms that are no quieter than this below the loudest, up to a quarter."""
    step = RATE_HZ // 100
    power = (said[: len(said) // step * step].reshape(-1, step) ** 2).mean(axis=1)
    first = int(np.argmax(power >= power.max() * 10 ** (-below_db / 10)))
    return said[min(first * step, len(said) // 4) :]


def _put(into: Sound, said: Sound, at: int) -> None:
    """Add what of `said`, beginning at `at`, falls into the window."""
    first, last = max(at, 0), min(at + len(said), len(into))
    if last > first:
        into[first:last] += said[first - at : last - at]


def _spliced(first: Sound, second: Sound) -> Sound:
    """One behind the other with a soft joint of 10 ms."""
    joint = min(RATE_HZ // 100, len(first), len(second))
    fade = np.linspace(0, 1, joint, dtype=np.float32)
    middle = first[len(first) - joint :] * (1 - fade) + second[:joint] * fade
    return np.concatenate([first[: len(first) - joint], middle, second[joint:]])
