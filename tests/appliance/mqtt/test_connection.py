"""One connection: what it learns from the broker, what it carries, and that no packet silences it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.mqtt.connection import Acknowledged, ConnectionGone, Down, Unsendable, Up
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.reasons import Loss
from appliance.thread_priority import be_punctual
from tests.conftest import Broker
from tests.links import turned
from tests.scripted_broker import (
    MAXIMUM_PACKET_SIZE,
    MAXIMUM_QOS,
    RECEIVE_MAXIMUM,
    RETAIN_AVAILABLE,
    ScriptedBroker,
    disconnect,
    property_of,
)
from tests.uplinks import Listener
from tests.waiting import until

pytestmark = pytest.mark.broker


@pytest.fixture
def scripted() -> Iterator[ScriptedBroker]:
    with ScriptedBroker() as broker:
        yield broker


# What it learns.


def test_the_window_and_the_largest_packet_are_the_brokers(new_broker: type[Broker], tmp_path: Path) -> None:
    broker = new_broker(tmp_path, "max_inflight_messages 7\nmax_packet_size 2000")
    broker.start()
    try:
        with turned(broker.url) as hand:
            up = hand.await_event(Up)
            assert (up.window, up.largest_bytes) == (7, 2000)
    finally:
        broker.kill()


def test_our_own_window_holds_when_the_broker_would_take_more(scripted: ScriptedBroker) -> None:
    scripted.properties = property_of(RECEIVE_MAXIMUM, 5000) + property_of(MAXIMUM_PACKET_SIZE, 77_000)
    with turned(scripted.url, window=30) as hand:
        up = hand.await_event(Up)
    assert (up.window, up.largest_bytes) == (30, 77_000)


def test_a_broker_with_nothing_but_qos_0_will_not_do(scripted: ScriptedBroker) -> None:
    scripted.properties = property_of(MAXIMUM_QOS, 0)
    with turned(scripted.url) as hand:
        down = hand.await_event(Down)
    assert down.loss is Loss.REFUSED
    assert "QoS 0 only" in down.words


def test_retained_messages_go_out_unretained_where_the_broker_keeps_none(scripted: ScriptedBroker) -> None:
    scripted.properties = property_of(RETAIN_AVAILABLE, 0)
    with turned(scripted.url) as hand:
        hand.await_event(Up)
        number = hand.link.publish("appliance/x", b"1", qos=1, retain=True)
        assert hand.await_event(Acknowledged)[1:] == (number, 0)


def test_a_refused_subscription_is_known_by_its_topic(scripted: ScriptedBroker) -> None:
    scripted.suback = 0x87
    with turned(scripted.url, subscriptions=("appliance/dock-1/+/+/set", "appliance/dock-1/request/+")) as hand:
        hand.await_event(Up)
        until(lambda: hand.turn() or len(hand.link.deaf) == 2)
        assert "does not let us subscribe" in hand.link.deaf["appliance/dock-1/request/+"]
        scripted.suback = 1
        hand.link.give_up("a test")
        hand.await_event(Up)
        assert hand.link.deaf == {}


def test_messages_come_as_they_were_sent(broker: Broker) -> None:
    with Listener(broker.port) as listener, turned(broker.url, ("appliance/dock-1/+/+/set",)) as hand:
        topic = "appliance/dock-1/source/dock/set"
        hand.hears(listener, topic)
        listener.publish(topic, b"\x00\xff not text")
        until(lambda: hand.turn() or len(hand.incoming) > 0)
        assert hand.incoming.take_all(0) == [Incoming(topic, b"\x00\xff not text", qos=1)]


def test_a_command_longer_than_the_limit_stays_with_the_broker(broker: Broker) -> None:
    topic = "appliance/dock-1/source/dock/set"
    with Listener(broker.port) as listener, turned(broker.url, (topic,), largest_incoming_bytes=1000) as hand:
        hand.hears(listener, topic)
        listener.publish(topic, b"x" * 2000)
        listener.publish(topic, b"short")
        until(lambda: hand.turn() or len(hand.incoming) > 0)
        assert hand.incoming.take_all(0) == [Incoming(topic, b"short", qos=1)]
        assert hand.link.connects == 1


@pytest.mark.parametrize("punctual", [True, False])
def test_the_thread_of_a_punctual_link_goes_before_ordinary_ones_where_the_system_allows_it(
    broker: Broker, punctual: bool
) -> None:
    with ThreadPoolExecutor(1) as threads:
        allowed = threads.submit(be_punctual).result(5)
    with turned(broker.url, punctual=punctual) as hand:
        hand.await_event(Up)
        [thread] = [each for each in threading.enumerate() if each.name.startswith("paho-mqtt-client-appliance-dock-1")]
        assert thread.native_id is not None
        expected = os.SCHED_RR if punctual and allowed else os.sched_getscheduler(0)
        assert os.sched_getscheduler(thread.native_id) == expected


# Publishing.


def test_what_cannot_be_sent_is_told_from_a_connection_that_is_gone(broker: Broker) -> None:
    with turned(broker.url) as hand:
        hand.await_event(Up)
        for topic in ("appliance/#", "appliance/+", "x" * 70_000):
            with pytest.raises(Unsendable):
                hand.link.publish(topic, b"", qos=1)
        broker.kill()
        with pytest.raises(ConnectionGone):
            until(lambda: hand.link.publish("appliance/x", b"", qos=1) < 0)
        assert hand.await_event(Down).loss in (Loss.LOST, Loss.CLOSED)


def test_a_message_gone_to_an_older_connection_is_not_acknowledged_on_the_next(scripted: ScriptedBroker) -> None:
    scripted.puback = lambda topic: None
    with turned(scripted.url) as hand:
        first = hand.await_event(Up)
        hand.link.publish("appliance/x", b"", qos=1)
        until(lambda: scripted.topics == ["appliance/x"])
        scripted.puback = lambda topic: 0
        hand.link.give_up("a test")
        second = hand.await_event(Up)
        assert second.connection == first.connection + 1
        number = hand.link.publish("appliance/y", b"", qos=1)
        assert hand.await_event(Acknowledged) == Acknowledged(second.connection, number, 0)
        assert scripted.topics == ["appliance/x", "appliance/y"]


# How it ends.

ENDS = {
    "shutting down": (0x8B, Loss.LOST, 0),
    "taken over": (0x8E, Loss.TAKEN_OVER, 0),
    "too large": (0x95, Loss.LOST, 2),
    "not allowed": (0x87, Loss.LOST, 2),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_broker_says_why_it_ends_the_connection(scripted: ScriptedBroker, name: str) -> None:
    code, loss, blame = ENDS[name]
    with turned(scripted.url, taken_over_wait_s=0.1) as hand:
        hand.await_event(Up)
        scripted.say(disconnect(code))
        down = hand.await_event(Down)
        assert (down.loss, down.blame) == (loss, blame)
        assert down.words.endswith(f"(0x{code:02X})")
        hand.await_event(Up)


GARBAGE = {
    "a packet of no type": b"\x00\x00",
    "a length without an end": b"\x30\xff\xff\xff\xff\xff",
    "an acknowledgement of nothing": b"\x40\x02\xff\xff",
    "a message with a broken topic": b"\x30\x04\x00\x02\xff\xfe",
    "a message shorter than its topic": b"\x30\x03\x00\x09a",
    "an unknown property": b"\x30\x06\x00\x01a\x02\x7f\x00",
    "a disconnect with an unknown code": b"\xe0\x02\x77\x00",
    "an acknowledgement with an unknown code": b"\x40\x04\x00\x01\xee\x00",
    "a second greeting": b"\x20\x03\x00\x00\x00",
    "an empty acknowledgement": b"\x40\x00",
    "an empty list of subscriptions": b"\x90\x03\x00\x01\x00",
    "a packet for brokers": b"\x82\x06\x00\x01\x00\x00\x01a",
}


@pytest.mark.parametrize("name", GARBAGE)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # paho's thread dies of some
def test_no_packet_of_the_broker_silences_the_link(scripted: ScriptedBroker, name: str) -> None:
    with turned(scripted.url) as hand:
        hand.await_event(Up)
        scripted.say(GARBAGE[name])
        deadline_s = time.monotonic() + 3.0
        answered = False
        while not answered and time.monotonic() < deadline_s:
            hand.turn()
            if hand.link.up is not None:
                try:
                    number = hand.link.publish("appliance/x", b"", qos=1)
                    answered = hand.await_event(Acknowledged, 1.0).mid == number
                except (ConnectionGone, AssertionError):
                    continue
        assert answered
