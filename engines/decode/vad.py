"""Voice activity: a label for every window, and a segment when an utterance is over."""

from __future__ import annotations

from collections.abc import Mapping

from engines.decode.asked import Asked, Shape, check_finite
from engines.decode.utterances import Rules, Utterances
from engines.engine import Array, EngineError
from engines.manifest import AudioInput, Manifest
from engines.predictions import Label, Prediction

SPEECH, SILENCE = "speech", "silence"
_SCORE_DIGITS = 5

_LOWER_BY = 0.15
"""The lower threshold, where the manifest names none; both move together when the upper one is changed."""


class VadDecoder:
    """(1,) probability of speech, and what the stream remembers."""

    def __init__(self, manifest: Manifest, output: str) -> None:
        spec, settings = manifest.input, manifest.decoder
        assert isinstance(spec, AudioInput), "the manifest gives voice activity sound"
        if SPEECH not in manifest.labels:
            raise EngineError(f"{manifest.name}: decoder vad needs a label {SPEECH}")
        self.shapes: dict[str, Shape] = {output: (1,)}
        self._output = output
        self._classes = {SILENCE: len(manifest.labels)} | {label: i for i, label in enumerate(manifest.labels)}
        close = settings.options.get("close_threshold")
        self._lower_by = settings.threshold - float(close) if close is not None else _LOWER_BY
        self._rules = Rules(
            label=SPEECH,
            rate_hz=spec.rate_hz,
            min_speech=_samples(settings.options.get("min_speech_ms", 250), spec.rate_hz),
            min_silence=_samples(settings.options.get("min_silence_ms", 100), spec.rate_hz),
            pad=int(_samples(settings.options.get("pad_ms", 30), spec.rate_hz)),
        )

    def memory(self) -> Utterances:
        """The utterances of a new stream."""
        return Utterances(self._rules)

    def decode(self, outputs: Mapping[str, Array], asked: Asked) -> tuple[Prediction, ...]:
        """`speech` with its score while an utterance goes on, else `silence` with one minus it; then what ended."""
        utterances = asked.stream.memory
        assert isinstance(utterances, Utterances), "the stream was made by another model"
        check_finite(self._output, outputs[self._output])
        probability = float(outputs[self._output][0])
        end_below = max(asked.threshold - self._lower_by, 0.01)
        ended = utterances.hear(probability, *asked.heard, asked.threshold, end_below)
        label = SPEECH if utterances.speaking else SILENCE
        score = probability if utterances.speaking else 1.0 - probability
        told: list[Prediction] = [Label(label, self._classes[label], round(score, _SCORE_DIGITS))]
        told += asked.stream.take_finished() + ended
        return tuple(prediction for prediction in told if asked.wants(prediction.label))


def _samples(milliseconds: float | str, rate_hz: int) -> float:
    return float(milliseconds) * rate_hz / 1000
