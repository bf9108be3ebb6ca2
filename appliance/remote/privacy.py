"""What may leave the device: one rule, asked by everything that makes a question."""

from __future__ import annotations

from typing import TypeAlias

from appliance.questions.question import Question
from appliance.remote.settings import Offload

FORMS: dict[Offload, frozenset[str]] = {
    "never": frozenset(),
    "crops": frozenset({"crop"}),
    "features": frozenset({"features"}),
    "frames": frozenset({"crop", "features", "sample"}),
}
"""In which form a sample may leave under each setting. `features` are what at least one stage has made of it: the
inputs of the first stage are the sample itself, only prepared."""

Form: TypeAlias = str


class Withheld(Exception):
    """The setting does not let this leave the device."""


def form(question: Question, *, first_stage: str, cropped: bool = False) -> Form:
    """`crop`, `features` or `sample`. `first_stage`: of the model; `cropped`: its picture is a part of the frame."""
    if question.picture is not None:
        return "crop" if cropped else "sample"
    if question.sound is not None or question.first in (None, first_stage):
        return "sample"
    return "features"


def check(question: Question, offload: Offload, *, first_stage: str, cropped: bool = False) -> None:
    """Raises Withheld unless `offload` lets this question leave."""
    found = form(question, first_stage=first_stage, cropped=cropped)
    if found not in FORMS[offload]:
        raise Withheld(f'offload = "{offload}" does not let {_WORDS[found]} leave the device')


_WORDS = {
    "crop": "a part of the picture",
    "features": "what a stage has made of the sample",
    "sample": "the whole sample",
}
