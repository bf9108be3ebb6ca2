"""The time of a version in shadow, and on probation, begins with the first sample: at night there may be none."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from appliance.pipeline.audience import Heard
from appliance.sync.carrier import Stopped
from appliance.sync.probation import Probation
from appliance.sync.shadow import Shadow
from appliance.sync.verdict import Terms, Word, of_probation
from capture.samples import Frame, Stamp
from engines.model import Model
from engines.predictions import Answer, StageTimes
from tests.registries import shipped

TERMS = Terms(shadow_s=60, shadow_samples=300, agreement=0.5, slower=3, probation_s=600)
NIGHT_S = 30_000.0


def heard(digest: str = "") -> Heard:
    frame = Frame("dock", 0, Stamp(0, 0), np.zeros((90, 160, 3), np.uint8), 0)
    return Heard("shapes", frame, Answer("detect", (), StageTimes(1.0, 1.0, 1.0)), digest, None, None)


def test_the_first_sample_of_the_morning_does_not_decide_about_a_version_in_shadow() -> None:
    now_s, turns = [0.0], itertools.count()

    def stopped() -> bool:
        turn = next(turns)
        if turn == 1:
            now_s[0] = NIGHT_S
            shadow.hear(heard())
        return turn == 2

    shadow = Shadow(TERMS, stopped, clock=lambda: now_s[0])
    with Model(shipped("shapes")) as model, pytest.raises(Stopped):
        shadow.run(model, lambda _score: None)
    assert shadow.score.answers == 1
    assert shadow.score.seconds == 0.0


def test_nor_about_one_on_probation() -> None:
    now_s = [0.0]
    probation = Probation("sha256:1", [], clock=lambda: now_s[0])
    now_s[0] = NIGHT_S
    probation.hear(heard("sha256:1"))
    assert of_probation(probation.score(), TERMS, fault=None).word is Word.WAIT
    now_s[0] += 600
    assert of_probation(probation.score(), TERMS, fault=None).word is Word.GO_ON
