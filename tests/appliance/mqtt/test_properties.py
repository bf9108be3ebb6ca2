"""Properties written here are, byte for byte, those that paho writes."""

from __future__ import annotations

from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes

from appliance.mqtt.connection import properties_of
from appliance.mqtt.properties import Written
from tests.conftest import Broker
from tests.uplinks import Listener
from tests.waiting import until

CASES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a question": {
        "expires_s": 1,
        "response_topic": "appliance/dock-1/answer",
        "correlation": b"01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "user": [("inference-header-content-length", "191"), ("deadline-ms", "499.7")],
    },
    "an answer": {"expires_s": 3600, "correlation": b"\x00\xff", "user": [("a", "")]},
    "long ones": {"correlation": bytes(65_535), "user": [("n", "ä" * 200)] * 90},
}


@pytest.mark.parametrize("given", CASES.values(), ids=CASES)
def test_they_are_those_of_paho(given: dict[str, Any]) -> None:
    paho: Any = properties_of(PacketTypes.PUBLISH)
    names = {"expires_s": "MessageExpiryInterval", "response_topic": "ResponseTopic", "correlation": "CorrelationData"}
    for key, value in given.items():
        setattr(paho, names.get(key, "UserProperty"), value)
    assert Written(**given).pack() == paho.pack()


@pytest.mark.parametrize(
    "given",
    [{"expires_s": -1}, {"expires_s": 1 << 32}, {"correlation": bytes(65_536)}, {"user": [("x" * 65_536, "")]}],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Written(**given)


def test_a_broker_passes_them_on(broker: Broker) -> None:
    given = CASES["a question"]
    with Listener(broker.port) as listener:
        listener._client.publish("appliance/x", b"1", 1, properties=Written(**given)).wait_for_publish(5)
        until(lambda: listener.messages)
        came: Any = listener.messages[0].properties
    assert came.CorrelationData == given["correlation"]
    assert came.ResponseTopic == given["response_topic"]
    assert came.UserProperty == given["user"]
