"""A real appliance sees and hears, and says when both meet."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.assembly import check
from appliance.config import parse
from appliance.config_errors import ConfigError
from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.tones import write_tones
from tests.waiting import until

ENTITY = "together-seen-and-heard"

SCENE = """
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 10
[[microphone]]
name = "ear"
uri = "wav:{tones}"
loop = true
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
[[pipeline]]
name = "tones"
source = "ear"
model = "tones"
"""
PAIR = """
[[together]]
name = "seen-and-heard"
picture = "shapes"
picture_labels = ["red"]
sound = "tones"
within_ms = 3000
"""


@pytest.mark.broker
@pytest.mark.system
def test_what_meets_is_published_with_the_ids_of_both(broker: Broker, tmp_path: Path) -> None:
    config = f'[mqtt]\nbroker = "{broker.url}"\n[home_assistant]\n' + SCENE.format(tones=write_tones(tmp_path)) + PAIR
    with Ear(broker.port) as ear, ApplianceProcess(tmp_path, config):
        document = ear.await_document("together/seen-and-heard/event", within_s=60, type="together")
        assert document["picture"]["state"]["label"] == "red"
        assert document["spool"]["stream"] == "seen-and-heard"
        for side, pipeline in (("picture", "shapes"), ("sound", "tones")):
            part = document[side]
            event = ear.await_document(f"pipeline/{pipeline}/event", id=part["event"], event="new")
            assert event["after"] == part["state"]
            assert event["seq"] == part["seq"]
        told = until(lambda: [each for each in ear.documents("/config") if ENTITY in each["components"]], 20)
        assert told[0]["components"][ENTITY]["event_types"] == ["together"]


FAULTS = {
    "no such pipeline": (PAIR.replace('"shapes"', '"people"'), "no pipeline has this name; known: shapes, tones"),
    "a microphone for the picture": (PAIR.replace('picture = "shapes"', 'picture = "tones"'), "is no camera"),
    "a camera for the sound": (PAIR.replace('sound = "tones"', 'sound = "shapes"'), "is no microphone"),
    "the name of a pipeline": (PAIR.replace("seen-and-heard", "tones"), 'the name "tones" is used twice'),
    "twice the same name": (PAIR + PAIR, 'the name "seen-and-heard" is used twice'),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_pair_that_cannot_meet_is_refused_with_the_reason(fault: str) -> None:
    text, words = FAULTS[fault]
    with pytest.raises(ConfigError, match=words):
        parse(SCENE.format(tones="a.wav") + text, "test.toml")


def test_a_pair_is_sound() -> None:
    check(parse(SCENE.format(tones="a.wav") + PAIR, "test.toml"))
