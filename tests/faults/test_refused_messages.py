"""Goal G11: messages that the broker refuses, silently drops or chokes on."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes

from appliance.mqtt.connection import properties_of
from appliance.uplink.outgoing import Publish
from appliance.uplink.uplink import Uplink, UplinkSettings
from tests.chaos.scene import at_work
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.scripted_broker import ScriptedBroker, disconnect
from tests.tcp_faults import FaultyProxy
from tests.uplinks import TOPICS, Listener, Running, connected, settings, spool
from tests.waiting import until

pytestmark = pytest.mark.faults


def as_installed(url: str, folder: Path, **changes: Any) -> UplinkSettings:
    """With the waits of a real appliance, not those that make tests quick."""
    wanted = settings(url, folder, **changes)
    return replace(wanted, link=replace(wanted.link, first_wait_s=0.5, longest_wait_s=4.0))


def gaps(listener: Listener, stream: str = "people") -> list[dict[str, Any]]:
    return [document for document in listener.events(stream) if document["type"] == "gap"]


# Too large.


@pytest.mark.parametrize("limit", ["max_packet_size 2000", "message_size_limit 2000"])
def test_a_message_too_large_for_the_broker_is_put_aside_and_the_next_50_arrive(
    new_broker: type[Broker], tmp_path: Path, limit: str
) -> None:
    """`max_packet_size` is told in CONNACK; `message_size_limit` answers with a code that MQTT 5 has not for PUBACK."""
    with (
        at_work(new_broker(tmp_path, limit)) as broker,
        Listener(broker.port) as listener,
        Running(as_installed(broker.url, tmp_path)) as uplink,
    ):
        connected(uplink)
        started_s = time.monotonic()
        uplink.mailbox.put(spool(0, reason="x" * 3000))
        for number in range(1, 51):
            uplink.mailbox.put(spool(number))
        until(lambda: uplink.figures().dead == 1, 5.0, "dead-lettered within 5 s")
        dead_s = time.monotonic() - started_s
        until(lambda: len(listener.numbers()) == 50, 5.0)
        delivered_s = time.monotonic() - started_s
        assert listener.numbers() == list(range(1, 51))
        (gap,) = until(lambda: gaps(listener))
        assert (gap["first"], gap["last"], gap["count"]) == (1, 1, 1)
        until(lambda: uplink.figures().stored == 0)
        connects = uplink.figures().connects
        assert connects <= 6
        for number in range(51, 101):
            uplink.mailbox.put(spool(number))
        until(lambda: listener.numbers() == list(range(1, 101)))
        assert uplink.figures().connects == connects, "no reconnect loop"
    seconds = {"dead_s": round(dead_s, 2), "delivered_s": round(delivered_s, 2)}
    tell("G11 too large", None, limit=limit.split()[0], **seconds, connects=connects)


CHOKES: dict[str, Callable[[ScriptedBroker], int | None]] = {
    "answers with a code that MQTT 5 does not list": lambda broker: 0xEE,
    "says that the packet is too large": lambda broker: broker.say(disconnect(0x95)),
    "says that it is not allowed": lambda broker: broker.say(disconnect(0x87)),
    "hangs up without a word": lambda broker: broker.hang_up(),
}


@pytest.mark.parametrize("name", CHOKES)
def test_a_message_that_the_broker_chokes_on_is_found_and_put_aside(tmp_path: Path, name: str) -> None:
    poisonous, wholesome = TOPICS.event("cars"), TOPICS.event("people")
    with ScriptedBroker() as broker, Running(settings(broker.url, tmp_path)) as uplink:
        broker.puback = lambda topic: CHOKES[name](broker) if topic == poisonous and not gone.is_set() else 0
        gone = threading.Event()
        connected(uplink)
        started_s = time.monotonic()
        uplink.mailbox.put(spool(0, "cars"))
        for number in range(50):
            uplink.mailbox.put(spool(number))
        until(lambda: uplink.figures().dead == 1)
        dead_s = time.monotonic() - started_s
        gone.set()  # the announcement of the gap has the same topic
        until(lambda: uplink.figures().sent == 51)
        figures = uplink.figures()
        assert (figures.stored, figures.dead, figures.dropped) == (0, 1, 0)
        assert broker.topics.count(wholesome) >= 50
    tell("G11 choked on", how=name, dead_s=round(dead_s, 2), connects=figures.connects)


def test_a_broker_that_chokes_on_everything_does_not_empty_the_outbox(tmp_path: Path) -> None:
    with ScriptedBroker() as broker, Running(settings(broker.url, tmp_path)) as uplink:
        mended = threading.Event()
        broker.puback = lambda topic: 0xEE if topic == TOPICS.event("people") and not mended.is_set() else 0
        for number in range(20):
            uplink.mailbox.put(spool(number))
        until(lambda: uplink.figures().alarms, 20)
        assert "nothing more is given up" in uplink.figures().alarms[0]
        connects = uplink.figures().connects
        until(lambda: uplink.figures().connects >= connects + 3, 10)
        assert uplink.figures().dead == 3
        mended.set()
        until(lambda: uplink.figures().stored == 0, 10)
        figures = uplink.figures()
        assert (figures.dead, figures.sent) == (3, figures.accepted - 3)
        until(lambda: not uplink.figures().alarms)


def test_a_line_that_breaks_before_the_broker_answers_anything_blames_no_message(
    broker: Broker, tmp_path: Path
) -> None:
    """Not even the very first, `online`, which once was given up and never published again."""
    with (
        FaultyProxy(broker.port) as line,
        Listener(broker.port) as listener,
        Running(settings(line.url, tmp_path)) as uplink,
    ):
        until(lambda: listener.on(TOPICS.available) == [b"online"])
        greeting_bytes = line.to_server_bytes
        for number in range(5):
            uplink.mailbox.put(spool(number))
        until(lambda: len(listener.numbers()) == 5)
        line.cut_after_bytes = greeting_bytes - 3  # in the middle of `online`
        line.reset()
        before = line.connections
        until(lambda: line.connections >= before + 8, 15)
        line.cut_after_bytes = None
        until(lambda: listener.on(TOPICS.available)[1:] == [b"online"])
        uplink.mailbox.put(spool(5))
        until(lambda: listener.numbers() == list(range(6)))
        assert uplink.figures().dead == 0


def test_a_network_that_loses_long_packets_does_not_hold_up_short_ones(broker: Broker, tmp_path: Path) -> None:
    """A tunnel with a wrong MTU: every connection works until the first long packet."""
    with FaultyProxy(broker.port) as line, Listener(broker.port) as listener:
        line.swallows = lambda data: b"x" * 200 in data
        wanted = settings(line.url, tmp_path)
        wanted = replace(wanted, link=replace(wanted.link, keepalive_s=1))
        with Running(wanted) as uplink:
            connected(uplink)
            uplink.mailbox.put(spool(0, reason="x" * 3000))
            for number in range(1, 11):
                uplink.mailbox.put(spool(number))
            pause = threading.Event()
            for _ in range(20):
                connected(uplink, 10)
                pause.wait(0.2)
                line.reset()
                if uplink.figures().dead:
                    break
            until(lambda: listener.numbers() == list(range(1, 11)), 10)
            assert uplink.figures().dead == 1


# Forbidden.


class GuardedBroker(Broker):
    """A mosquitto with access rules that can be changed while it runs."""

    def __init__(self, folder: Path) -> None:
        self._rules = folder / "rules"
        super().__init__(folder, f"acl_file {self._rules}")

    def allow(self, *topics: str) -> None:
        """Everybody may read everything and write only these."""
        self._rules.write_text("topic read #\n" + "".join(f"topic write {topic}\n" for topic in topics))
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)


@pytest.fixture
def guarded(new_broker: type[Broker], tmp_path: Path) -> Iterator[GuardedBroker]:
    broker = GuardedBroker(tmp_path)
    broker.allow("#")
    with at_work(broker):
        yield broker


def test_a_forbidden_topic_raises_an_alarm_loses_nothing_and_goes_on_when_it_is_allowed(
    guarded: GuardedBroker, tmp_path: Path
) -> None:
    forbidden = TOPICS.event("people")
    guarded.allow(TOPICS.available, TOPICS.event("cars"))
    with Listener(guarded.port) as listener, Running(settings(guarded.url, tmp_path)) as uplink:
        for number in range(100):
            uplink.mailbox.put(spool(number))
            uplink.mailbox.put(spool(number, "cars"))
        until(lambda: uplink.figures().alarms == (f"{forbidden}: the broker does not allow it (0x87)",))
        until(lambda: listener.numbers("cars") == list(range(100)))
        until(lambda: uplink.figures().stored == 100)
        assert (listener.numbers(), uplink.figures().dead) == ([], 0)
        mended_s = time.monotonic()
        guarded.allow("#")
        until(lambda: listener.numbers() == list(range(100)), 12)
        seconds = time.monotonic() - mended_s
        until(lambda: uplink.figures().stored == 0 and not uplink.figures().alarms)
        figures = uplink.figures()
        assert (figures.connects, figures.dead, figures.dropped) == (1, 0, 0)
    tell("G11 forbidden", events=100, lost=0, after_mending_s=round(seconds, 1))


def test_state_that_was_forbidden_is_there_soon_after_it_is_allowed(guarded: GuardedBroker, tmp_path: Path) -> None:
    guarded.allow("none")
    with Listener(guarded.port) as listener, Running(settings(guarded.url, tmp_path)) as uplink:
        uplink.mailbox.put(Publish(TOPICS.info, {"version": "1"}, qos=1, retain=True))
        uplink.mailbox.put(Publish(TOPICS.health, {"status": "failed"}, qos=1, retain=True))
        until(lambda: len(uplink.figures().alarms) == 3)
        uplink.mailbox.put(Publish(TOPICS.health, {"status": "ok"}, qos=1, retain=True))
        guarded.allow("#")
        until(lambda: all(map(listener.on, (TOPICS.available, TOPICS.info, TOPICS.health))), 8)
        assert listener.on(TOPICS.available) == [b"online"]
        assert listener.on(TOPICS.health) == [b'{"status":"ok"}']
        until(lambda: not uplink.figures().alarms)
        assert uplink.figures().connects == 1


def test_commands_that_may_not_be_heard_raise_an_alarm(tmp_path: Path) -> None:
    with ScriptedBroker() as broker:
        broker.suback = 0x87
        with Running(settings(broker.url, tmp_path, subscriptions=(TOPICS.every_set,))) as uplink:
            until(lambda: uplink.figures().alarms)
            assert uplink.figures().alarms[0].startswith(f"{TOPICS.every_set}: the broker does not let us subscribe")


# A queue that overflows in silence.


class Collector:
    """A subscriber with a session, that stores what comes and confirms it."""

    def __init__(self, port: int) -> None:
        self.numbers: dict[int, None] = {}
        self._port = port
        self._seen: set[int] = set()
        self._contiguous = 0

    def visit(self, still_there: Callable[[], bool]) -> None:
        """Come, take what waits, and stay as long as told."""
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="collector", protocol=mqtt.MQTTv5)
        subscribed = threading.Event()
        client.on_connect = lambda client, *_: client.subscribe(TOPICS.event("people"), qos=1)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = self._store
        properties = properties_of(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 600
        client.connect("127.0.0.1", self._port, clean_start=False, properties=properties)
        client.loop_start()
        try:
            assert subscribed.wait(5)
            until(lambda: not still_there(), 60)
        finally:
            client.disconnect()
            client.loop_stop()

    def _store(self, client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        document = json.loads(message.payload)
        if document["type"] == "event":
            self.numbers.setdefault(document["seq"])
        self._seen.add(document["spool"]["seq"])
        while self._contiguous + 1 in self._seen:
            self._contiguous += 1
        content = json.dumps({"epoch": document["spool"]["epoch"], "seq": self._contiguous})
        client.publish(TOPICS.acknowledged("people"), content, qos=1, retain=True)


@pytest.mark.parametrize("queue", [1000, pytest.param(100, marks=pytest.mark.long)])
def test_with_a_collector_a_queue_that_the_broker_overflows_in_silence_costs_nothing(
    new_broker: type[Broker], tmp_path: Path, queue: int
) -> None:
    """The broker acknowledges everything and throws away what does not fit; default limit and a smaller one."""
    events = 3000
    limits = f"max_queued_messages {queue}"
    with at_work(new_broker(tmp_path, limits)) as broker:
        collector = Collector(broker.port)
        collector.visit(lambda: False)
        with Running(settings(broker.url, tmp_path, acknowledge="end-to-end")) as uplink:
            for number in range(events):
                uplink.mailbox.put(spool(number))
            until(lambda: uplink.figures().accepted == events, 10)
            idle(uplink)
            started_s = time.monotonic()
            collector.visit(lambda: uplink.figures().stored > 0)
            seconds = time.monotonic() - started_s
            assert uplink.figures().connects == 1
    tell("M9 queue limit", queue=queue, events=events, lost=events - len(collector.numbers), seconds=round(seconds, 1))
    assert sorted(collector.numbers) == list(range(events))
    if queue >= 1000:  # a shorter one throws away in between: that comes later, and is a hole until then
        assert list(collector.numbers) == list(range(events))


def idle(uplink: Uplink) -> None:
    """Until the broker has all that it is to get for now."""
    until(lambda: uplink.figures().in_flight == 0 and uplink.figures().connected)
