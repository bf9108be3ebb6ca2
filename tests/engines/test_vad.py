"""Utterances out of a stream of probabilities, by the rules of Silero's offline reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engines.decode.utterances import Rules, Utterances
from engines.engine import EngineError
from engines.model import Model
from engines.predictions import Label, Segment
from tests.engines import references
from tests.engines.models import Scripted, manifest, model, only, sounds

WINDOW = 512
RULES = Rules("speech", 16_000, min_speech=4000, min_silence=1600, pad=480)


def stream_segments(probabilities: Sequence[float], length: int, rules: Rules = RULES) -> list[tuple[int, int]]:
    """The streaming form, window by window."""
    utterances = Utterances(rules)
    segments: list[Segment] = []
    for number, probability in enumerate(probabilities):
        end = min((number + 1) * WINDOW, length)
        segments += utterances.hear(probability, number * WINDOW, end, begin_at=0.5, end_below=0.35)
    segments += utterances.finish(length)
    return [(round(each.start_s * 16_000), round(each.end_s * 16_000)) for each in segments]


def test_random_probabilities_give_the_same_segments_as_the_offline_rules() -> None:
    random = np.random.default_rng(1)
    found = 0
    for _ in range(500):
        count = int(random.integers(1, 200))
        walk = np.cumsum(random.normal(0, random.uniform(0.05, 0.6), count)) + random.uniform(-1, 1)
        probabilities = (1 / (1 + np.exp(-2 * walk))).tolist()
        length = (count - 1) * WINDOW + int(random.integers(1, WINDOW + 1))
        ours = stream_segments(probabilities, length)
        assert ours == references.speech_segments(probabilities, length)
        found += len(ours)
    assert found > 300


@pytest.mark.parametrize("probability", [0.35, 0.49999])
def test_between_the_thresholds_an_utterance_goes_on(probability: float) -> None:
    assert stream_segments([0.9] * 10 + [probability] * 50, 60 * WINDOW) == [(0, 60 * WINDOW)]
    assert stream_segments([probability] * 60, 60 * WINDOW) == []


def test_a_pause_shorter_than_the_least_silence_does_not_part_an_utterance() -> None:
    talk = [0.9] * 10
    # 1600 samples are more than three windows: the fourth quiet one after the first ends it.
    assert len(stream_segments(talk + [0.1] * 4 + talk, 24 * WINDOW)) == 1
    assert len(stream_segments(talk + [0.1] * 5 + talk, 25 * WINDOW)) == 2


def test_an_utterance_must_be_longer_than_the_least_speech() -> None:
    assert stream_segments([0.9] * 7 + [0.1] * 20, 27 * WINDOW) == []  # 3584 samples
    assert stream_segments([0.9] * 8 + [0.1] * 20, 28 * WINDOW) == [(0, 8 * WINDOW + 480)]


def test_padding_reaches_neither_before_the_beginning_nor_into_the_utterance_before() -> None:
    wide = Rules("speech", 16_000, min_speech=0, min_silence=512, pad=4000)
    first, second = stream_segments([0.9] * 4 + [0.1] * 3 + [0.9] * 4 + [0.1] * 3, 14 * WINDOW, wide)
    assert first[0] == 0
    assert first[1] <= second[0]


# -- as a model -------------------------------------------------------------------------------------------------------


def vad(probabilities: Sequence[Any], **settings: Any) -> Model:
    """A model that hears these probabilities, one a window, whatever the sound."""
    coming = iter(probabilities)
    options = {"close_threshold": 0.35, "min_speech_ms": 250, "min_silence_ms": 100, "pad_ms": 30}
    of = manifest("vad", sounds(WINDOW), ["speech"], name="vad", **({"options": options} | settings))
    engine = Scripted({"x": (1, WINDOW)}, {"out": (1, 1)}, lambda _: {"out": np.array([[next(coming)]], np.float32)})
    return model(of, engine)


QUIET = np.zeros(WINDOW, np.float32)


def test_every_window_is_either_speech_or_silence_and_an_utterance_is_told_when_it_is_over() -> None:
    probabilities = [0.1, 0.9, *[0.8] * 8, 0.4, *[0.2] * 5]
    with vad(probabilities) as model_:
        stream = model_.new_stream()
        told = [only(model_.predict([QUIET], [stream])).predictions for _ in probabilities]
    assert all(isinstance(each[0], Label) for each in told)
    assert told[0] == (Label("silence", 1, 0.9),)
    assert told[1] == (Label("speech", 0, 0.9),)
    assert told[10] == (Label("speech", 0, 0.4),)
    assert told[14] == (Label("speech", 0, 0.2),)
    assert told[15] == (
        Label("silence", 1, 0.8),
        Segment("speech", (WINDOW - 480) / 16_000, (11 * WINDOW + 480) / 16_000),
    )


def test_what_is_going_on_when_the_sound_ends_is_told_by_finish() -> None:
    with vad([0.9] * 10) as model_:
        stream = model_.new_stream()
        for _ in range(9):
            model_.predict([QUIET], [stream])
        model_.predict([QUIET[:100]], [stream])
        assert model_.finish(stream) == (Segment("speech", 0.0, (9 * WINDOW + 100) / 16_000),)
        assert model_.finish(stream) == ()


def test_two_microphones_do_not_hear_each_other() -> None:
    with vad([0.9, 0.1] * 10) as model_:
        one, two = model_.new_stream(), model_.new_stream()
        for _ in range(10):
            model_.predict([QUIET, QUIET], [one, two])
        assert len(model_.finish(one)) == 1
        assert model_.finish(two) == ()


def test_lost_sound_ends_an_utterance_and_the_next_window_tells_it() -> None:
    with vad([0.9] * 12) as model_:
        stream = model_.new_stream()
        for number in range(10):
            stream.seek(number * WINDOW)
            model_.predict([QUIET], [stream])
        stream.seek(99 * WINDOW)
        told = only(model_.predict([QUIET], [stream])).predictions
        assert told == (Label("speech", 0, 0.9), Segment("speech", 0.0, 10 * WINDOW / 16_000))
        model_.predict([QUIET], [stream])
        assert model_.finish(stream) == ()  # the two windows after the hole are too short


def test_a_source_that_counts_from_zero_again_is_heard_from_zero_again() -> None:
    with vad([0.9] * 20) as model_:
        stream = model_.new_stream()
        for number in [*range(10), *range(10)]:
            stream.seek(number * WINDOW)
            model_.predict([QUIET], [stream])
        ended = model_.finish(stream)
    assert ended == (Segment("speech", 0.0, 10 * WINDOW / 16_000),)


def test_a_lower_threshold_for_this_call_lowers_both() -> None:
    probabilities = [0.3] * 10 + [0.16] * 10 + [0.1] * 6
    with vad(probabilities) as model_:
        stream = model_.new_stream()
        labels = [only(model_.predict([QUIET], [stream], thresholds=[0.3])).predictions[0].label for _ in probabilities]
    assert labels == ["speech"] * 24 + ["silence"] * 2


def test_a_window_that_fails_changes_nothing() -> None:
    with vad([0.9] * 9 + [np.nan] + [0.9]) as model_:
        stream = model_.new_stream()
        answers = [model_.predict([QUIET], [stream])[0] for _ in range(11)]
        assert [isinstance(each, EngineError) for each in answers] == [False] * 9 + [True, False]
        assert model_.finish(stream) == (Segment("speech", 0.0, 11 * WINDOW / 16_000),)


def test_a_model_without_the_label_speech_is_refused() -> None:
    of = manifest("vad", sounds(WINDOW), ["voice"], name="vad")
    engine = Scripted({"x": (1, WINDOW)}, {"out": (1, 1)}, lambda _: {})
    with pytest.raises(EngineError, match="needs a label speech"), model(of, engine):
        pass
