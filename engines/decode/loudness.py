"""What stands apart in a stream of sound: a word that is said on its own has quiet around it, a syllable of running
speech has not, and a breath is much fainter than the speech before it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.engine import Array

_STEP_S, _MEMORY_S = 0.02, 3.0
_QUIET_DB, _BACKGROUND = 15.0, 0.1
_LEAST_POWER = 1e-10


@dataclass(frozen=True, slots=True)
class Apart:
    """What stands apart. Lengths in samples."""

    pause: float
    """So long it is quiet before and after."""
    longest: float
    """Less than so much lies between the two."""
    faint_db: float
    """No further below the loudest of the last three seconds."""


class Loudness:
    """The levels of one stream in steps of 20 ms, those of the last three seconds."""

    def __init__(self, rule: Apart, rate_hz: int) -> None:
        self._rule = rule
        self._step = max(1, round(_STEP_S * rate_hz))
        self._levels: deque[float] = deque(maxlen=round(_MEMORY_S / _STEP_S))
        self._end = 0
        """The levels go up to this sample."""
        self.began = 0
        """Where the stream began, or went on after sound was lost."""

    def restart(self, start: int) -> None:
        """The stream goes on at sample `start`."""
        self._levels.clear()
        self._end = self.began = start

    def hear(self, sound: Array, start: int) -> None:
        """(n,) from sample `start` of the stream on; what of it was heard before is passed over."""
        if start > self._end:
            self.restart(start)
        new = sound[self._end - start :].astype(np.float64)
        steps = new[: len(new) // self._step * self._step].reshape(-1, self._step)
        self._levels.extend(10 * np.log10((steps**2).mean(axis=1) + _LEAST_POWER))
        self._end += steps.size

    def apart(self, first: int, last: int) -> bool:
        """Whether the loudest sound between these samples, of which some were heard, stands apart.

        Quiet is what lies 15 dB below it, or in noise at least nearer to the background than to it: to the level above
        which nine tenths of the last three seconds are. Before the stream began it was quiet.
        """
        levels = np.array(self._levels)
        place = self._number(first)
        place += int(levels[place : max(self._number(last), place + 1)].argmax())
        if levels[place] < levels.max() - self._rule.faint_db:
            return False
        background = np.quantile(levels, _BACKGROUND)
        quiet = levels < max(levels[place] - _QUIET_DB, (levels[place] + background) / 2)
        pause = max(1, math.ceil(self._rule.pause / self._step))
        earlier = np.full(pause, len(levels) < (self._levels.maxlen or 0))
        before = _until_true(np.concatenate([earlier, quiet[:place]])[::-1], pause)
        after = _until_true(quiet[place + 1 :], pause)
        if before is None or after is None:
            return False
        return (before + 1 + after) * self._step < self._rule.longest

    def _number(self, sample: int) -> int:
        """Of the level that holds it, or the nearest."""
        number = len(self._levels) - math.ceil((self._end - sample) / self._step)
        return min(max(number, 0), len(self._levels) - 1)


def _until_true(values: NDArray[np.bool_], times: int) -> int | None:
    """How many come before the first that is true and begins so many true ones in a row; None: there is none."""
    if len(values) < times:
        return None
    rows = np.flatnonzero(np.lib.stride_tricks.sliding_window_view(values, times).all(axis=1))
    return int(rows[0]) if len(rows) else None
