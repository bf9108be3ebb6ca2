"""The first field that is not as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.recorder import compare
from appliance.recorder.compare import EXACT, LOSSY
from appliance.result import Result
from engines.predictions import Detection
from tests.recordings import event, result

RED = Detection("red", 0, 0.9, (10.0, 10.0, 30.0, 30.0), track=1)
BLUE = Detection("blue", 2, 0.8, (40.0, 10.0, 60.0, 30.0), track=2)
FAINT = Detection("blue", 2, 0.41, (2.0, 40.0, 9.0, 47.0))

EXACTLY = {
    "nothing": (result(1, RED, BLUE), None),
    "a score in its last digits": (result(1, replace(RED, score=0.9004), BLUE), None),
    "a score": (result(1, replace(RED, score=0.8), BLUE), "detections[0].score was 0.9, is 0.8"),
    "a label": (result(1, RED, replace(BLUE, label="green")), "detections[1].label was blue, is green"),
    "a track": (result(1, RED, replace(BLUE, track=7)), "detections[1].track was 2, is 7"),
    "a box": (
        result(1, replace(RED, box=(11.0, 10.0, 30.0, 30.0)), BLUE),
        "detections[0].box was [10.0, 10.0, 30.0, 30.0], is [11.0, 10.0, 30.0, 30.0]",
    ),
    "one is missing": (result(1, RED), "detections was ['red', 'blue'], is ['red']"),
    "one too many": (result(1, RED, BLUE, FAINT), "detections was ['red', 'blue'], is ['red', 'blue', 'blue']"),
    "nan is no number": (
        result(1, replace(RED, score=float("nan")), BLUE),
        "detections[0].score was 0.9, is nan",
    ),
    "it failed": (replace(result(1), status="failed"), "status was ok, is failed"),
}


@pytest.mark.parametrize("case", EXACTLY)
def test_where_nothing_was_lost_everything_counts(case: str) -> None:
    now, wanted = EXACTLY[case]
    found = compare.results(result(1, RED, BLUE), now, EXACT, threshold=0.4)
    assert (None if found is None else str(found)) == wanted


ROUGHLY = {
    "order and tracks do not count": (result(1, replace(BLUE, track=9), replace(RED, track=8)), None),
    "a pixel here, a tenth there": (result(1, replace(RED, box=(13.0, 8.0, 30.0, 31.0), score=0.8), BLUE), None),
    "one that is hardly seen comes": (result(1, RED, BLUE, FAINT), None),
    "one that is clearly seen goes": (result(1, RED), "detections[1] was blue 0.800, is not there"),
    "one that is clearly seen comes": (
        result(1, RED, BLUE, replace(FAINT, score=0.7)),
        "detections was not there, is blue 0.700 at [2.0, 40.0, 9.0, 47.0]",
    ),
    "another label": (
        result(1, RED, replace(BLUE, label="green")),
        "detections[1] was blue 0.800, is not there",
    ),
    "a score far off": (result(1, replace(RED, score=0.5), BLUE), "detections[0].score was 0.9, is 0.5"),
}


@pytest.mark.parametrize("case", ROUGHLY)
def test_where_pixels_were_lost_what_is_clearly_seen_counts(case: str) -> None:
    now, wanted = ROUGHLY[case]
    found = compare.results(result(1, RED, BLUE), now, LOSSY, threshold=0.4)
    assert (None if found is None else str(found)) == wanted


def test_one_hardly_seen_may_go_where_pixels_were_lost() -> None:
    was: Result = result(1, RED, FAINT)
    assert compare.results(was, result(1, RED), LOSSY, threshold=0.4) is None


def test_lives_keep_their_identity_under_other_names() -> None:
    ids: dict[str, str] = {}
    assert compare.events([event(1, life="a")], [event(1, life="x")], ids, EXACT) is None
    assert compare.events([event(2, "update", life="a")], [event(2, "update", life="x")], ids, EXACT) is None
    found = compare.events([event(3, "end", life="a")], [event(3, "end", life="y")], ids, EXACT)
    assert str(found) == "events[0].id was x, is y"


EVENTS = {
    "one is missing": ([], "events was ['new red'], is []"),
    "another kind": ([event(1, "update")], "events[0].event was new, is update"),
    "another label": ([event(1, label="blue")], "events[0].after.label was red, is blue"),
    "another track": ([replace(event(1), track=3)], "events[0].track was 1, is 3"),
    "another time": ([replace(event(1), seconds=2.0)], "events[0].seconds was 0.0, is 2.0"),
}


@pytest.mark.parametrize("case", EVENTS)
def test_events_are_compared_field_by_field(case: str) -> None:
    now, wanted = EVENTS[case]
    assert str(compare.events([event(1)], now, {}, EXACT)) == wanted
