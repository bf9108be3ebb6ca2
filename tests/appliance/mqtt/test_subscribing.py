"""Subscriptions that come and go while the connection stays."""

from __future__ import annotations

import pytest

from appliance.mqtt.connection import Quiet, Up
from tests.conftest import Broker
from tests.links import turned
from tests.scripted_broker import ScriptedBroker
from tests.uplinks import Listener
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]


def test_what_is_subscribed_later_is_heard_until_it_is_unsubscribed(broker: Broker) -> None:
    with Listener(broker.port) as listener, turned(broker.url) as hand:
        hand.await_event(Up)
        hand.link.subscribe(["$share/services/model/people/+", "other/#"])
        hand.hears(listener, "model/people/dock-1")
        hand.link.unsubscribe(["$share/services/model/people/+"])
        hand.await_event(Quiet)
        hand.incoming.take_all(0)
        listener.publish("model/people/dock-1", b"too late")
        hand.hears(listener, "other/topic")
        assert b"too late" not in [message.payload for message in hand.incoming.take_all(0)]


def test_a_refusal_is_known_by_the_topic_of_its_own_request() -> None:
    with ScriptedBroker() as scripted:
        scripted.suback = 0x87
        with turned(scripted.url, subscriptions=("first",)) as hand:
            hand.await_event(Up)
            until(lambda: hand.turn() or set(hand.link.deaf) == {"first"})
            hand.link.subscribe(["second"])
            until(lambda: hand.turn() or "second" in hand.link.deaf)
            assert set(hand.link.deaf) == {"first", "second"}


def test_no_more_is_sent_at_once_than_we_say(broker: Broker) -> None:
    """The broker is told; that it keeps to it is its affair."""
    with Listener(broker.port) as listener, turned(broker.url, subscriptions=("many",), receive_most=2) as hand:
        hand.await_event(Up)
        hand.hears(listener, "many")
        for number in range(20):
            listener.publish("many", str(number).encode())
        heard: list[bytes] = []

        def all_heard() -> bool:
            hand.turn()
            heard.extend(message.payload for message in hand.incoming.take_all(0))
            return len(heard) >= 20

        until(all_heard)
        assert heard == [str(number).encode() for number in range(20)]
