"""The one rule of what may leave the device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.questions.question import Question
from appliance.remote.privacy import Withheld, check, form
from appliance.remote.settings import Offload
from tests.model_services import asked

FEATURES = replace(asked()[0], first="head")
PREPARED = replace(FEATURES, first="backbone")
UNNAMED = replace(FEATURES, first=None)
PICTURE = replace(FEATURES, first=None, tensors={}, picture=np.zeros((2, 2, 3), np.uint8))
SOUND = replace(FEATURES, first=None, tensors={}, sound=np.zeros(4, np.float32))

MAY_LEAVE: dict[Offload, set[str]] = {
    "never": set(),
    "crops": {"a crop"},
    "features": {"features"},
    "frames": {"a crop", "features", "a picture", "a sound", "a prepared sample", "tensors without a stage"},
}
THINGS: dict[str, tuple[Question, bool]] = {
    "a crop": (PICTURE, True),
    "a picture": (PICTURE, False),
    "a sound": (SOUND, False),
    "features": (FEATURES, False),
    "a prepared sample": (PREPARED, False),
    "tensors without a stage": (UNNAMED, False),
}


@pytest.mark.parametrize("offload", MAY_LEAVE)
@pytest.mark.parametrize("thing", THINGS)
def test_only_what_the_setting_names_may_leave(offload: Offload, thing: str) -> None:
    question, cropped = THINGS[thing]
    if thing in MAY_LEAVE[offload]:
        check(question, offload, first_stage="backbone", cropped=cropped)
    else:
        with pytest.raises(Withheld, match=f'offload = "{offload}"'):
            check(question, offload, first_stage="backbone", cropped=cropped)


def test_the_inputs_of_the_first_stage_are_the_sample_itself() -> None:
    assert form(PREPARED, first_stage="backbone") == "sample"
    assert form(FEATURES, first_stage="backbone") == "features"
