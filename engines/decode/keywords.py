"""Keywords: which word of a list was just said, once for every time it is said.

Windows overlap, so that a word is heard in several of them. It begins when its score reaches the threshold: the mean of
its scores in the last windows, or, where the manifest says so, the least of them. Where the manifest asks for a pause,
it must stand apart from the sound around it, too; a lone window, about whose surroundings nothing is known, need not.
It is over with the first window that does not hold it any more, or holds another word. The same word can begin again
once it was over for a moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engines.decode.activation import activation
from engines.decode.asked import Asked, Shape, check_finite
from engines.decode.loudness import Apart, Loudness
from engines.engine import Array, EngineError
from engines.manifest import AudioInput, Manifest
from engines.predictions import Label, Prediction, Segment

_BACKGROUND = "silence,unknown"
_SMOOTH_MS, _REST_MS, _LOWER_BY, _FAINT_DB = 200.0, 200.0, 0.2, 25.0
_SCORE_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Rules:
    """Lengths in samples."""

    labels: tuple[str, ...]
    words: tuple[int, ...]
    """Class ids; the other classes are background."""
    rate_hz: int
    smooth: float
    """Windows that ended within so long before the newest one did are looked at together."""
    rest: float
    """From the end of a word until the same one can begin."""
    least: bool = False
    """A word begins by the least of its scores in them, not by their mean: one that is said on its own is heard in
    each, what running speech has in common with it comes and goes."""
    apart: Apart | None = None
    """What the sound of a word must be, too; None: anything."""


class Words:
    """The words said into one microphone."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._loudness = None if rules.apart is None else Loudness(rules.apart, rules.rate_hz)
        self._recent: deque[tuple[int, Array]] = deque()
        self._held: int | None = None
        self._span = (0, 0)
        """Where the held word can lie: what all of its windows cover."""
        self._last: tuple[int, int] | None = None
        """The word before, and where it was over."""

    @property
    def held(self) -> int | None:
        """Class id of the word that is being said."""
        return self._held

    def listen(self, sound: Array, start: int) -> None:
        """The sound of the window whose scores come next, from sample `start` of the stream."""
        if self._loudness is not None:
            self._loudness.hear(sound, start)

    def hear(self, scores: Array, start: int, end: int, begin_at: float, end_below: float) -> list[Segment]:
        """The scores of one window of the stream, from sample `start` to `end`; returns the word that is over."""
        self._recent.append((end, scores))
        while self._recent[0][0] <= end - self._rules.smooth and len(self._recent) > 1:
            self._recent.popleft()
        sure = self._sure()
        best = max(self._rules.words, key=lambda word: float(sure[word]))
        ended: list[Segment] = []
        if self._held is not None:
            if scores[self._held] >= end_below and (best == self._held or sure[best] < begin_at):
                self._span = (start, self._span[1])
                return []
            ended = self.finish(end)
        if sure[best] >= begin_at and not self._resting(best, end) and self._apart(start, end):
            self._held, self._span = best, (start, end)
        return ended

    def scores(self) -> Array:
        """(classes,): the average of the last windows, of which there is at least one."""
        return np.asarray(np.mean([scores for _, scores in self._recent], axis=0))

    def _sure(self) -> Array:
        """(classes,): by which a word begins."""
        if not self._rules.least:
            return self.scores()
        return np.asarray(np.min([scores for _, scores in self._recent], axis=0))

    def finish(self, end: int) -> list[Segment]:
        """Nothing more of the held word comes; the stream is at sample `end`."""
        held, self._held = self._held, None
        if held is None:
            return []
        self._last = (held, end)
        rate, (first, last) = self._rules.rate_hz, sorted(self._span)
        return [Segment(self._rules.labels[held], start_s=first / rate, end_s=last / rate)]

    def restart(self, start: int) -> None:
        """The stream goes on at sample `start`, after it was finished elsewhere."""
        self._recent.clear()
        self._last = None
        if self._loudness is not None:
            self._loudness.restart(start)

    def _apart(self, start: int, end: int) -> bool:
        """Whether what the last windows, the newest of which this is, have in common stands apart."""
        if self._loudness is None or start == self._loudness.began:
            return True
        oldest_end, _ = self._recent[0]
        return self._loudness.apart(start, oldest_end if oldest_end > start else end)

    def _resting(self, word: int, end: int) -> bool:
        return self._last is not None and self._last[0] == word and end - self._last[1] <= self._rules.rest


class KeywordDecoder:
    """(classes,) scores, and what the stream remembers."""

    def __init__(self, manifest: Manifest, output: str) -> None:
        spec, settings = manifest.input, manifest.decoder
        assert isinstance(spec, AudioInput), "the manifest gives keywords sound"
        self.shapes: dict[str, Shape] = {output: (len(manifest.labels),)}
        self._output = output
        self._activation = activation(settings)
        background = [name for name in str(settings.options.get("background", _BACKGROUND)).split(",") if name]
        if strangers := [name for name in background if name not in manifest.labels]:
            raise EngineError(
                f"{manifest.name}: decoder.options.background names {', '.join(strangers)}, which is no label: "
                f"there are {', '.join(manifest.labels)}"
            )
        self._background = tuple(manifest.labels.index(name) for name in background)
        words = tuple(number for number in range(len(manifest.labels)) if number not in self._background)
        if not words:
            raise EngineError(f"{manifest.name}: every label is background: decoder keywords needs a word to hear")
        smooth_by = settings.options.get("smooth_by", "mean")
        if smooth_by not in ("mean", "least"):
            raise EngineError(f"{manifest.name}: decoder.options.smooth_by {smooth_by!r}: expected mean or least")
        self._lower_by = float(settings.options.get("lower_by", _LOWER_BY))
        pause_ms = float(settings.options.get("pause_ms", 0))
        apart = Apart(
            pause=pause_ms * spec.rate_hz / 1000,
            longest=spec.samples,
            faint_db=float(settings.options.get("faint_db", _FAINT_DB)),
        )
        self._rules = Rules(
            labels=manifest.labels,
            words=words,
            rate_hz=spec.rate_hz,
            smooth=float(settings.options.get("smooth_ms", _SMOOTH_MS)) * spec.rate_hz / 1000,
            rest=float(settings.options.get("rest_ms", _REST_MS)) * spec.rate_hz / 1000,
            least=smooth_by == "least",
            apart=apart if pause_ms > 0 else None,
        )

    def memory(self) -> Words:
        """The words of a new stream."""
        return Words(self._rules)

    def decode(self, outputs: Mapping[str, Array], asked: Asked) -> tuple[Prediction, ...]:
        """The word while it is being said, else the background if likely enough; then the word that is over."""
        words = asked.stream.memory
        assert isinstance(words, Words), "the stream was made by another model"
        check_finite(self._output, outputs[self._output])
        scores = self._activation(outputs[self._output]).copy()  # the output belongs to the engine
        if asked.sound is not None:
            words.listen(asked.sound, asked.heard[0])
        ended = words.hear(scores, *asked.heard, asked.threshold, max(asked.threshold - self._lower_by, 0.01))
        told: list[Prediction] = [*self._label(words, asked.threshold), *asked.stream.take_finished(), *ended]
        return tuple(prediction for prediction in told if asked.wants(prediction.label))

    def _label(self, words: Words, threshold: float) -> list[Label]:
        mean, number = words.scores(), words.held
        if number is None:
            number = max(self._background, key=lambda each: float(mean[each]), default=None)
            if number is None or mean[number] < threshold:
                return []
        return [Label(self._rules.labels[number], number, round(float(mean[number]), _SCORE_DIGITS))]
