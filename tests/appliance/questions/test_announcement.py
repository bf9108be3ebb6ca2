"""What a service says of itself, read by somebody who does not trust it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from appliance.catalogue import Catalogue
from appliance.questions.announcement import (
    MOST_BYTES,
    Announcement,
    Load,
    ServedModel,
    announcement_from_json,
    announcement_to_json,
    served,
)
from appliance.questions.tensors import BadTensor

MODEL = served("tones", Catalogue.default().shipped.find("tones").manifest, engine="x", queue_ms=1.23, infer_ms=4.56)
WHOLE = Announcement(
    "gpu-1", "online", "services", (MODEL, ServedModel("shapes", False, fault="no such file")), Load(3, 0.5, 12.0), 8, 2
)


def test_an_announcement_arrives_as_it_was_given() -> None:
    assert announcement_from_json(announcement_to_json(WHOLE)) == replace(WHOLE, group="")
    assert (MODEL.input, MODEL.task, MODEL.stages) == ("audio", "audio-labels", ("main",))


def test_the_group_is_not_told_to_anybody() -> None:
    """Who knows it can take a share of the questions, and mosquitto then loses what it may not give."""
    secret = replace(WHOLE, group="9f86d081884c7d65")
    assert b"9f86d081884c7d65" not in announcement_to_json(secret)


def test_the_last_will_needs_no_more_than_a_name() -> None:
    assert announcement_from_json(b'{"service":"gpu-1","state":"offline"}').models == ()


WRONG: dict[str, Any] = {
    "a state nobody knows": {"service": "x", "state": "asleep"},
    "busy without end": {"service": "x", "state": "online", "load": {"busy": 7}},
    "a wait below zero": {"service": "x", "state": "online", "load": {"queue_ms": -1}},
    "a name without end": {"service": "x" * 1000, "state": "online"},
    "models without end": {"service": "x", "state": "online", "models": [{"name": "a", "ready": True}] * 501},
    "a later schema": {"service": "x", "state": "online", "schema": 2},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_announcement_is_refused(name: str) -> None:
    with pytest.raises(BadTensor):
        announcement_from_json(json.dumps(WRONG[name]).encode())


def test_an_announcement_is_never_long() -> None:
    with pytest.raises(BadTensor):
        announcement_from_json(b" " * (MOST_BYTES + 1))
