"""[pipeline.harvest]: what contradicts itself, or the table `remote`, is refused with a sentence."""

from __future__ import annotations

import pytest

from appliance.config import Config, parse
from appliance.config_errors import ConfigError

MQTT = '[mqtt]\nbroker = "mqtt://localhost"\n'
SOUND = MQTT + '[[microphone]]\nname = "hall"\nuri = "mic:"\n'


def config(harvest: str, remote: str = "", before: str = MQTT, source: str = "dock") -> Config:
    return parse(
        f"""{before}
[[camera]]
name = "dock"
uri = "scene:shapes"
[[pipeline]]
name = "p"
source = "{source}"
model = "shapes"
{f"[pipeline.remote]{chr(10)}{remote}" if remote else ""}
[pipeline.harvest]
{harvest}
""",
        "test",
    )


UNSURE = "unsure_between = [0.4, 0.6]\n"

FINE = {
    "kept here": (UNSURE, "", ""),
    "kept here, and nothing is asked": (UNSURE, 'offload = "never"', ""),
    "sent, and nobody is asked": (UNSURE + 'offload = "frames"', "", MQTT),
    "as much as for questions": (UNSURE + 'offload = "crops"', 'offload = "crops"', MQTT),
    "less than for questions": (UNSURE + 'offload = "crops"', 'offload = "frames"', MQTT),
}


@pytest.mark.parametrize("name", FINE)
def test_it_is_taken(name: str) -> None:
    assert config(*FINE[name]).pipeline[0].harvest is not None


REFUSED = {
    "no reason": (("apart_s = 5",), "say which samples: unsure_between = [0.4, 0.6], or disagreed = true"),
    "the higher first": (("unsure_between = [0.6, 0.4]",), "unsure_between: give the lower score first"),
    "no broker": ((UNSURE + 'offload = "frames"', "", ""), "samples are sent through the broker: add an [mqtt] table"),
    "nothing may leave": (
        (UNSURE + 'offload = "frames"', 'offload = "never"'),
        'remote: offload = "never" lets less leave the device',
    ),
    "parts may leave": (
        (UNSURE + 'offload = "frames"', 'offload = "crops"'),
        'remote: offload = "crops" lets less leave the device',
    ),
    "features may leave": (
        (UNSURE + 'offload = "crops"', 'offload = "features"'),
        'remote: offload = "features" lets less leave the device',
    ),
    "features of a harvest": ((UNSURE + 'offload = "features"',), "offload"),
    "parts of a sound": ((UNSURE + 'offload = "crops"', "", SOUND, "hall"), "sound has no parts to choose from"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_a_sentence(name: str) -> None:
    arguments, sentence = REFUSED[name]
    with pytest.raises(ConfigError) as raised:
        config(*arguments)
    assert sentence in str(raised.value)


def test_nothing_is_kept_unless_asked_for() -> None:
    made = parse(
        '[[camera]]\nname = "a"\nuri = "scene:shapes"\n[[pipeline]]\nname="p"\nsource="a"\nmodel="m"\n', "test"
    )
    assert made.pipeline[0].harvest is None
