"""Which local answers are worth a second opinion, as a table."""

from __future__ import annotations

import pytest

from appliance.remote.doubt import doubtful_score
from engines.predictions import Answer, Detection, Label, Prediction, Segment, StageTimes

BETWEEN = (0.3, 0.6)


def found(score: float) -> Detection:
    return Detection("person", 0, score, (0.0, 0.0, 1.0, 1.0))


def heard(score: float) -> Label:
    return Label("tone", 0, score)


ANSWERS: dict[str, tuple[tuple[Prediction, ...], float | None]] = {
    "nothing found": ((), None),
    "sure": ((found(0.9),), None),
    "hardly anything": ((found(0.1),), None),
    "unsure": ((found(0.45),), 0.45),
    "at the edges": ((found(0.3), found(0.6)), 0.3),
    "one of two unsure": ((found(0.9), found(0.5)), 0.5),
    "best label sure, the others not": ((heard(0.8), heard(0.4)), None),
    "best label unsure": ((heard(0.4), heard(0.5)), 0.5),
    "a finished stretch has no score": ((Segment("speech", 0.0, 1.0),), None),
}


@pytest.mark.parametrize(("predictions", "score"), ANSWERS.values(), ids=ANSWERS.keys())
def test_the_score_in_doubt_is_told(predictions: tuple[Prediction, ...], score: float | None) -> None:
    answer = Answer("detect", predictions, StageTimes(0, 0, 0))
    assert doubtful_score(answer, BETWEEN) == score
    assert doubtful_score(answer, None) is None
