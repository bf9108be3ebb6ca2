"""Words out of a stream of overlapping windows: one for every time that one is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engines.decode.keywords import Rules, Words
from engines.engine import Array, EngineError
from engines.manifest import Manifest
from engines.model import Model
from engines.predictions import Label, Prediction, Segment
from tests.engines.models import Scripted, manifest, model, only, sounds

RATE_HZ, WINDOW, HOP = 1000, 1000, 100
LABELS = ("left", "right", "silence", "unknown")
RULES = Rules(LABELS, words=(0, 1), rate_hz=RATE_HZ, smooth=200, rest=200)

LEFT, RIGHT, QUIET = (0.9, 0.0, 0.1, 0.0), (0.0, 0.9, 0.1, 0.0), (0.0, 0.0, 0.9, 0.1)
HALF_LEFT, DOUBT = (0.5, 0.0, 0.5, 0.0), (0.4, 0.0, 0.6, 0.0)


def begun(windows: Sequence[Sequence[float]], rules: Rules = RULES) -> list[tuple[int, str]]:
    """Number of the window and the word, for every word that begins."""
    words = Words(rules)
    found, before = [], None
    for number, scores in enumerate(windows):
        words.hear(np.array(scores, np.float32), number * HOP, number * HOP + WINDOW, begin_at=0.6, end_below=0.45)
        if words.held is not None and words.held != before:
            found.append((number, LABELS[words.held]))
        before = words.held
    return found


STREAMS = {
    "nothing": ([QUIET] * 20, []),
    "a word in six windows is one word": ([QUIET, *[LEFT] * 6, QUIET], [(2, "left")]),
    "a single window that errs is no word": ([QUIET, QUIET, LEFT, QUIET, QUIET], []),
    "the first window of all counts at once": ([LEFT, QUIET], [(0, "left")]),
    "a weak window inside does not make it two": ([QUIET, *[LEFT] * 3, HALF_LEFT, *[LEFT] * 3], [(2, "left")]),
    "the same word after a pause is a second one": (
        [QUIET, *[LEFT] * 4, QUIET, QUIET, QUIET, *[LEFT] * 4],
        [(2, "left"), (9, "left")],
    ),
    "a flicker is no second word": ([QUIET, *[LEFT] * 4, DOUBT, LEFT, LEFT, QUIET], [(2, "left")]),
    "another word needs no pause": ([QUIET, *[LEFT] * 4, *[RIGHT] * 4, QUIET], [(2, "left"), (6, "right")]),
    "what lasts begins once": ([QUIET, *[LEFT] * 60], [(2, "left")]),
    "background never begins": ([(0.0, 0.0, 0.0, 1.0)] * 9, []),
}


@pytest.mark.parametrize(("windows", "expected"), STREAMS.values(), ids=STREAMS)
def test_words_begin_where_they_are_said(windows: list[tuple[float, ...]], expected: list[tuple[int, str]]) -> None:
    assert begun(windows) == expected


def test_with_no_rest_the_same_word_begins_with_the_next_window() -> None:
    rules = Rules(LABELS, words=(0, 1), rate_hz=RATE_HZ, smooth=100, rest=0)
    assert begun([LEFT, LEFT, DOUBT, LEFT], rules) == [(0, "left"), (3, "left")]


BY_THE_LEAST = {
    "a word that every window is sure of": ([QUIET, *[LEFT] * 6, QUIET], [(3, "left")]),
    "one doubtful window in the midst of it puts it off": (
        [QUIET, LEFT, LEFT, HALF_LEFT, LEFT, LEFT, LEFT, QUIET],
        [(6, "left")],
    ),
    "what comes and goes is no word": ([QUIET, *[LEFT, LEFT, HALF_LEFT] * 4, QUIET], []),
    "the first window of all counts at once": ([LEFT, QUIET], [(0, "left")]),
}


@pytest.mark.parametrize(("windows", "expected"), BY_THE_LEAST.values(), ids=BY_THE_LEAST)
def test_by_the_least_a_word_begins_once_every_window_is_sure_of_it(
    windows: list[tuple[float, ...]], expected: list[tuple[int, str]]
) -> None:
    assert begun(windows, Rules(LABELS, words=(0, 1), rate_hz=RATE_HZ, smooth=300, rest=200, least=True)) == expected


def test_a_word_lies_in_what_all_of_its_windows_cover() -> None:
    words = Words(RULES)
    ended: list[Segment] = []
    for number, scores in enumerate([QUIET, *[LEFT] * 6, QUIET]):
        ended += words.hear(np.array(scores, np.float32), number * HOP, number * HOP + WINDOW, 0.6, 0.45)
    # Held from window 2, which ends at 1.2 s, to window 6, which begins at 0.6 s.
    assert ended == [Segment("left", start_s=0.6, end_s=1.2)]


def keyword_manifest(**options: Any) -> Manifest:
    spec = sounds(WINDOW, rate_hz=RATE_HZ, hop=HOP)
    return manifest("audio-labels", spec, LABELS, name="keywords", threshold=0.6, options=options)


def listening(scores: Sequence[Sequence[float]], **options: Any) -> Model:
    """A model whose network answers one after the other with these."""
    waiting = [np.array([row], np.float32) for row in scores]
    network = Scripted({"x": (1, WINDOW)}, {"y": (1, len(LABELS))}, lambda _: {"y": waiting.pop(0)})
    return model(keyword_manifest(**options), network)


def heard(scores: Sequence[Sequence[float]], starts: Sequence[int] | None = None) -> list[tuple[Prediction, ...]]:
    """What each window says, and at last what finishing the stream says."""
    with listening(scores) as opened:
        stream = opened.new_stream()
        said = []
        for number in range(len(scores)):
            if starts is not None:
                stream.seek(starts[number])
            said.append(only(opened.predict([np.zeros(WINDOW, np.float32)], [stream])).predictions)
        said.append(opened.finish(stream))
        return said


def test_the_word_is_the_only_label_while_it_is_said_and_the_background_before_and_after() -> None:
    said = heard([QUIET, QUIET, LEFT, LEFT, LEFT, QUIET, QUIET])
    labels = [[each.label for each in window if isinstance(each, Label)] for window in said]
    assert labels == [["silence"], ["silence"], [], ["left"], ["left"], [], ["silence"], []]


def test_a_lone_window_says_its_word() -> None:
    assert heard([LEFT]) == [(Label("left", 0, 0.9),), (Segment("left", 0.0, 1.0),)]


def test_lost_sound_ends_a_word_and_nothing_of_it_is_averaged_with_what_comes_after() -> None:
    said = heard([LEFT, LEFT, QUIET], starts=[0, 100, 5000])
    assert said[2] == (Label("silence", 2, 0.9), Segment("left", 0.1, 1.0))


def test_windows_left_out_under_load_end_no_word_as_long_as_all_of_the_sound_is_heard() -> None:
    said = heard([LEFT, LEFT, LEFT, QUIET, QUIET], starts=[0, 100, 400, 600, 700])
    segments = [each for window in said for each in window if isinstance(each, Segment)]
    assert segments == [Segment("left", 0.4, 1.0)]


def test_the_manifest_says_whether_the_mean_or_the_least_counts() -> None:
    for smooth_by, first in (("mean", 2), ("least", 3)):
        with listening([QUIET, HALF_LEFT, LEFT, LEFT], smooth_by=smooth_by) as opened:
            stream = opened.new_stream()
            said = [only(opened.predict([np.zeros(WINDOW, np.float32)], [stream])).predictions for _ in range(4)]
        assert [any(each.label == "left" for each in window) for window in said].index(True) == first


AROUND = {
    "quiet": (0.001, 1000, 0.001, [16]),
    "talk before it": (0.5, 0, 0.001, []),
    "talk behind it": (0.001, 100, 0.5, []),
    "a pause, then talk behind it": (0.001, 300, 0.5, [16]),
}


def said(before: float, pause_ms: int, behind: float, level: float = 0.5) -> Array:
    """A word from 2.0 to 2.4 s; `before` and `behind` a pause of `pause_ms`: how loud it is there."""
    levels = np.repeat([before, level, 0.001, behind], [2000, 400, pause_ms, 2000 - pause_ms])
    return np.asarray(levels * np.random.default_rng(1).choice([-1, 1], len(levels)), np.float32)


def windows_that_say_left(sound: Array, **options: Any) -> list[int]:
    """Those in which a word goes on or begins, of a network that hears one wherever it lies whole in the window."""
    starts = range(0, len(sound) - WINDOW + 1, HOP)
    scores = [LEFT if 1400 <= start <= 2000 else QUIET for start in starts]
    options = {"smooth_ms": 300, "smooth_by": "least", "pause_ms": 200} | options
    with listening(scores, **options) as opened:
        stream = opened.new_stream()
        answers = [only(opened.predict([sound[start : start + WINDOW]], [stream])).predictions for start in starts]
    return [number for number, window in enumerate(answers) if any(each.label == "left" for each in window)]


@pytest.mark.parametrize(("before", "pause_ms", "behind", "begins"), AROUND.values(), ids=AROUND)
def test_with_a_pause_asked_for_a_word_begins_where_quiet_is_around_it(
    before: float, pause_ms: int, behind: float, begins: list[int]
) -> None:
    assert windows_that_say_left(said(before, pause_ms, behind))[:1] == begins
    assert windows_that_say_left(said(before, pause_ms, behind), pause_ms=0)[:1] == [16]


def test_a_word_waits_for_the_pause_behind_it() -> None:
    assert windows_that_say_left(said(0.001, 1000, 0.001), pause_ms=350)[:1] == [18]


def test_a_word_that_is_much_fainter_than_what_was_said_before_does_not_begin() -> None:
    sound = said(0.001, 1000, 0.001, level=0.01)
    sound[:1000] *= 500
    assert windows_that_say_left(sound) == []
    assert windows_that_say_left(sound, faint_db=40)[:1] == [16]


def test_a_lone_window_needs_no_pause() -> None:
    with listening([LEFT], pause_ms=200) as opened:
        answer = only(opened.predict([np.full(WINDOW, 0.5, np.float32)], [opened.new_stream()]))
    assert answer.predictions == (Label("left", 0, 0.9),)


def test_a_way_of_smoothing_that_does_not_exist_is_named() -> None:
    with pytest.raises(EngineError, match=r"smooth_by 'most': expected mean or least"), listening([], smooth_by="most"):
        pass


def test_a_background_label_that_does_not_exist_is_named() -> None:
    with (
        pytest.raises(EngineError, match=r"background names noise, which is no label"),
        listening([], background="noise"),
    ):
        pass


def test_a_model_without_words_is_refused() -> None:
    with pytest.raises(EngineError, match="every label is background"), listening([], background=",".join(LABELS)):
        pass


def test_scores_that_are_no_numbers_are_an_error_and_leave_the_stream_as_it_was() -> None:
    with listening([LEFT, LEFT, (np.nan, 0, 0, 0), LEFT]) as opened:
        stream = opened.new_stream()
        window = np.zeros(WINDOW, np.float32)
        answers = [opened.predict([window], [stream])[0] for _ in range(4)]
    assert isinstance(answers[2], EngineError)
    assert only([answers[3]]).predictions == (Label("left", 0, 0.9),)
