"""When a version goes on, waits, or goes back: rules without a clock."""

from __future__ import annotations

import pytest

from appliance.sync.agreement import agreement
from appliance.sync.verdict import Score, Terms, Word, of_probation, of_shadow
from engines.predictions import Answer, Detection, Label, Prediction, StageTimes

TERMS = Terms(shadow_s=60, shadow_samples=300, agreement=0.5, slower=3, probation_s=600)
TIMES = StageTimes(1, 1, 1)
MANY, FEW = [10.0] * 40, [10.0] * 5

SHADOWS = {
    "nothing heard yet": (Score(seconds=100), Word.WAIT),
    "agrees for long enough": (Score(60, 0, FEW, FEW, [1.0] * 5), Word.GO_ON),
    "agrees often enough": (Score(5, 0, [1.0] * 300, [1.0] * 300, [0.8] * 300), Word.GO_ON),
    "not yet for long enough": (Score(59, 0, FEW, FEW, [1.0] * 5), Word.WAIT),
    "says something else": (Score(60, 0, FEW, FEW, [0.4] * 5), Word.BACK),
    "fails from the start": (Score(3, 3, [], [], []), Word.BACK),
    "fails now and then": (Score(3, 1, MANY, MANY, [1.0] * 40), Word.WAIT),
    "failed twice on a busy machine": (Score(3, 2, [10.0] * 18, [10.0] * 18, [1.0] * 18), Word.WAIT),
    "fails too often": (Score(3, 5, MANY, MANY, [1.0] * 40), Word.BACK),
    "too slow": (Score(60, 0, [40.0] * 40, MANY, [1.0] * 40), Word.BACK),
    "a little slower": (Score(60, 0, [20.0] * 40, MANY, [1.0] * 40), Word.GO_ON),
    "four times of a millisecond": (Score(60, 0, [4.0] * 40, [1.0] * 40, [1.0] * 40), Word.GO_ON),
}


@pytest.mark.parametrize("case", SHADOWS)
def test_beside_the_active_version(case: str) -> None:
    score, word = SHADOWS[case]
    assert of_shadow(score, TERMS).word is word


PROBATIONS = {
    "holds": (Score(600, 0, MANY, MANY), None, Word.GO_ON),
    "not yet": (Score(599, 0, MANY, MANY), None, Word.WAIT),
    "was asked nothing": (Score(6000, 0, [], []), None, Word.WAIT),
    "does not run": (Score(1, 0, [], []), "no memory", Word.BACK),
    "fails": (Score(10, 30, FEW, FEW), None, Word.BACK),
    "became slow": (Score(10, 0, [50.0] * 40, MANY), None, Word.BACK),
}


@pytest.mark.parametrize("case", PROBATIONS)
def test_on_probation(case: str) -> None:
    score, fault, word = PROBATIONS[case]
    verdict = of_probation(score, TERMS, fault)
    assert verdict.word is word
    assert (word is Word.BACK) <= bool(verdict.reason)


def box(label: str, left: float) -> Detection:
    return Detection(label, 0, 0.9, (left, 0.0, left + 10, 10.0))


AGREEMENTS: dict[str, tuple[tuple[Prediction, ...], tuple[Prediction, ...], float]] = {
    "nothing on both sides": ((), (), 1.0),
    "something and nothing": ((box("a", 0),), (), 0.0),
    "the same": ((box("a", 0), box("b", 50)), (box("b", 51), box("a", 1)), 1.0),
    "another label": ((box("a", 0),), (box("b", 0),), 0.0),
    "another place": ((box("a", 0),), (box("a", 8),), 0.0),
    "one of two": ((box("a", 0), box("a", 50)), (box("a", 0),), 0.5),
    "one box does not count twice": ((box("a", 0), box("a", 1)), (box("a", 0), box("a", 100)), 0.5),
    "the best label counts": ((Label("a", 0, 0.9), Label("b", 1, 0.1)), (Label("b", 1, 0.2), Label("a", 0, 0.8)), 1.0),
    "another best label": ((Label("a", 0, 0.9),), (Label("b", 1, 0.9),), 0.0),
}


@pytest.mark.parametrize("case", AGREEMENTS)
def test_how_far_two_answers_agree(case: str) -> None:
    mine, theirs, share = AGREEMENTS[case]
    assert agreement(Answer("detect", mine, TIMES), Answer("detect", theirs, TIMES)) == share


def test_answers_to_other_questions_do_not_agree() -> None:
    assert agreement(Answer("detect", (), TIMES), Answer("classify", (), TIMES)) == 0.0
