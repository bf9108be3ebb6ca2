"""The table of rights, without a broker: complete, and nobody is in it under a name that is not its own."""

from __future__ import annotations

import inspect

import pytest

from appliance.broker_folder.mosquitto import Entry, access
from appliance.broker_folder.rights import Role, rights
from appliance.mqtt import topics
from appliance.mqtt.topics import Topics


def _every_topic_of_a_device() -> list[str]:
    """What `Topics` can name, with `+` for every name that it asks for."""
    device, found = Topics("appliance", "dock-1"), []
    for name, member in inspect.getmembers(Topics):
        if name.startswith("_") or name in ("base", "device", "root"):
            continue
        if isinstance(member, property):
            value = getattr(device, name)
            found += [value] if isinstance(value, str) else list(value)
        else:
            words = len(inspect.signature(member).parameters) - 1
            found.append(getattr(device, name)(*["+"] * words).replace("/-", "/+"))
    return found


def test_a_device_has_a_right_to_every_topic_that_the_code_names() -> None:
    known = {right.topic for right in rights(Role.DEVICE, "dock-1", "appliance")}
    missing = [topic for topic in _every_topic_of_a_device() if topic not in known]
    assert missing == [], "a topic was added: give devices, and whoever else needs it, a right to it"
    assert topics.question("+", "dock-1") in known
    assert topics.EVERY_SERVICE in known


@pytest.mark.parametrize("role", [Role.DEVICE, Role.SERVICE])
def test_whoever_speaks_for_itself_stands_in_every_topic_that_it_writes(role: Role) -> None:
    free = ("appliance/+/answer", "appliance/+/harvest/said")  # a service answers whoever asked or sent
    for right in rights(role, "the-name", "appliance"):
        if right.verb == "write" and right.topic not in free:
            assert "the-name" in right.topic.split("/"), right


def test_only_a_service_may_read_questions_and_only_the_asker_its_answer() -> None:
    for role in Role:
        for right in rights(role, "me", "appliance"):
            if right.verb == "read" and "/infer/" in right.topic:
                assert role is Role.SERVICE
            if right.verb == "read" and right.topic.endswith("/answer"):
                assert (role, right.topic) == (Role.DEVICE, "appliance/me/answer")


def test_no_right_reaches_below_what_it_names() -> None:
    for role in Role:
        for right in rights(role, "me", "appliance", ("people",)):
            assert "#" not in right.topic


def test_a_service_for_some_models_hears_questions_to_no_other() -> None:
    read = {
        right.topic for right in rights(Role.SERVICE, "s", "appliance", ("people", "words")) if right.verb == "read"
    }
    assert {"model-service/people/infer/+", "model-service/words/infer/+"} <= read
    assert "model-service/+/infer/+" not in read


def test_the_access_file_is_these_rights_and_nothing_for_anybody() -> None:
    text = access([Entry("dock-1", Role.DEVICE), Entry("brain", Role.SERVICE)], "site")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    expected = ["user dock-1"]
    expected += [f"topic {right.verb} {right.topic}" for right in rights(Role.DEVICE, "dock-1", "site")]
    expected += ["user brain"]
    expected += [f"topic {right.verb} {right.topic}" for right in rights(Role.SERVICE, "brain", "site")]
    assert lines == expected
    assert "pattern" not in text
