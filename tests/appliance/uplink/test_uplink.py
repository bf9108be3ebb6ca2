"""The uplink against a real broker and a real file."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.mqtt.topics import Topics
from appliance.outbox.file import OutboxError
from appliance.outbox.outbox import Outbox
from appliance.uplink.outgoing import Publish
from appliance.uplink.uplink import Uplink
from tests.chaos.scene import Scene, at_work
from tests.conftest import Broker
from tests.scripted_broker import ScriptedBroker
from tests.uplinks import TOPICS, Listener, Running, connected, settings, spool
from tests.waiting import until

pytestmark = pytest.mark.system


def test_events_arrive_in_order_each_with_its_place_in_the_stream(broker: Broker, tmp_path: Path) -> None:
    with Listener(broker.port) as listener, Running(settings(broker.url, tmp_path)) as uplink:
        for number in range(200):
            uplink.mailbox.put(spool(number))
        until(lambda: len(listener.events()) == 200)
        spools = [document["spool"] for document in listener.events()]
        assert listener.numbers() == list(range(200))
        assert [place["seq"] for place in spools] == list(range(1, 201))
        assert len({place["epoch"] for place in spools}) == 1
        until(lambda: uplink.figures().sent == 200)
        assert uplink.figures().stored == 0


def test_the_broker_hears_online_first_and_stopped_last(broker: Broker, tmp_path: Path) -> None:
    with Listener(broker.port) as listener:
        with Running(settings(broker.url, tmp_path)) as uplink:
            uplink.mailbox.put(Publish(TOPICS.info, {"version": "1"}, qos=1, retain=True))
            connected(uplink)
            uplink.mailbox.put(spool(1))
            until(lambda: listener.events())
        until(lambda: listener.on(TOPICS.available)[-1:] == [b"stopped"])
        topics = [message.topic for message in listener.messages]
        assert topics == [TOPICS.available, TOPICS.info, TOPICS.event("people"), TOPICS.available]


def test_live_results_go_out_when_connected_and_are_counted_when_not(tmp_path: Path, broker: Broker) -> None:
    with Listener(broker.port) as listener, Running(settings(broker.url, tmp_path)) as uplink:
        connected(uplink)
        uplink.mailbox.put(Publish(TOPICS.result("people"), {"n": 1}))
        until(lambda: listener.on(TOPICS.result("people")) == [b'{"n":1}'])
    with Running(settings("mqtt://127.0.0.1:1", tmp_path)) as uplink:
        uplink.mailbox.put(Publish(TOPICS.result("people"), {"n": 2}))
        until(lambda: uplink.figures().posts_dropped.get("not connected") == 1)


def test_events_handed_over_while_the_broker_is_away_come_when_it_is_back(broker: Broker, tmp_path: Path) -> None:
    broker.kill()
    with Running(settings(broker.url, tmp_path)) as uplink:
        for number in range(50):
            uplink.mailbox.put(spool(number))
        until(lambda: uplink.figures().stored == 50)
    with Running(settings(broker.url, tmp_path)) as uplink:
        until(lambda: uplink.figures().stored == 50)
        broker.start()
        with Listener(broker.port) as listener:
            until(lambda: len(listener.numbers()) == 50)
            assert listener.numbers() == list(range(50))
            assert all(("historical", "true") in user for user in listener.user_properties(TOPICS.event("people")))


def test_a_broker_that_restarts_gets_birth_and_retained_documents_again(
    new_broker: type[Broker], tmp_path: Path
) -> None:
    broker = new_broker(tmp_path)
    with at_work(broker), Running(settings(broker.url, tmp_path)) as uplink:
        connected(uplink)
        uplink.mailbox.put(Publish(TOPICS.info, {"version": "1"}, qos=1, retain=True))
        uplink.mailbox.put(Publish(TOPICS.health, {"status": "failed"}, qos=1, retain=True))
        uplink.mailbox.put(Publish(TOPICS.health, {"status": "ok"}, qos=1, retain=True))
        until(lambda: uplink.figures().posts_sent >= 3)
        broker.kill()
        broker.start()
        until(lambda: uplink.figures().connects == 2)
        with Listener(broker.port) as listener:
            until(lambda: len(listener.messages) >= 3)
            assert listener.on(TOPICS.available) == [b"online"]
            assert listener.on(TOPICS.info) == [b'{"version":"1"}']
            assert listener.on(TOPICS.health) == [b'{"status":"ok"}']


def test_a_retained_document_that_was_deleted_stays_deleted(new_broker: type[Broker], tmp_path: Path) -> None:
    broker = new_broker(tmp_path)
    with at_work(broker), Running(settings(broker.url, tmp_path)) as uplink:
        uplink.mailbox.put(Publish(TOPICS.source_available("dock"), b"online", qos=1, retain=True))
        until(lambda: uplink.figures().posts_sent == 2)
        uplink.mailbox.put(Publish(TOPICS.source_available("dock"), b"", qos=1, retain=True))
        until(lambda: uplink.figures().posts_sent == 3)
        broker.kill()
        broker.start()
        until(lambda: uplink.figures().posts_sent == 4, what="birth, and nothing else")
        with Listener(broker.port) as listener:
            until(lambda: listener.on(TOPICS.available))
            assert listener.on(TOPICS.source_available("dock")) == []


def test_when_the_appliance_is_killed_its_last_will_says_offline(broker: Broker, tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    with Listener(broker.port) as listener:
        wanted = settings(broker.url, tmp_path)
        with scene.generating(settings=wanted, first=0, count=0, rate_hz=1.0):
            until(lambda: listener.on(TOPICS.available) == [b"online"])
        until(lambda: listener.on(TOPICS.available) == [b"online", b"offline"], 10)


def test_a_restart_within_seconds_is_never_seen_as_offline(broker: Broker, tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    wanted = settings(broker.url, tmp_path)
    with Listener(broker.port) as listener:
        with scene.generating(settings=wanted, first=0, count=0, rate_hz=1.0):
            until(lambda: listener.on(TOPICS.available) == [b"online"])
        with Running(wanted) as uplink:
            until(lambda: listener.on(TOPICS.available) == [b"online", b"online"])
            for number in range(50):
                uplink.mailbox.put(spool(number))
            until(lambda: len(listener.numbers()) == 50)
        assert b"offline" not in listener.on(TOPICS.available)


def test_commands_come_in_with_all_an_answer_needs(broker: Broker, tmp_path: Path) -> None:
    wanted = settings(broker.url, tmp_path, subscriptions=(TOPICS.every_set, TOPICS.every_request))
    with Listener(broker.port, "answers/#") as listener, Running(wanted) as uplink:
        connected(uplink)
        listener.publish(f"{TOPICS.root}/request/status", b"{}", response_topic="answers/1", correlation=b"\x00\x01")
        request = uplink.incoming.take(5)
        assert request is not None
        assert (request.topic, request.payload) == (f"{TOPICS.root}/request/status", b"{}")
        assert (request.response_topic, request.correlation) == ("answers/1", b"\x00\x01")
        uplink.mailbox.put(Publish("answers/1", {"ok": True}, qos=1, response_to=request.correlation, expires_s=10))
        until(lambda: listener.on("answers/1") == [b'{"ok":true}'])
        properties = listener.messages[-1].properties
        assert getattr(properties, "CorrelationData", None) == b"\x00\x01"
        assert getattr(properties, "MessageExpiryInterval", 0) in (9, 10)


def test_a_command_that_is_too_large_never_reaches_us_and_harms_nothing(broker: Broker, tmp_path: Path) -> None:
    wanted = settings(broker.url, tmp_path, subscriptions=(TOPICS.every_set,))
    with Listener(broker.port) as listener, Running(wanted) as uplink:
        connected(uplink)
        listener.publish(f"{TOPICS.root}/source/dock/set", b"x" * (300 << 10))
        listener.publish(f"{TOPICS.root}/source/dock/set", b"{}")
        small = uplink.incoming.take(5)
        assert small is not None
        assert small.payload == b"{}"
        assert uplink.figures().connects == 1


def test_commands_that_nobody_reads_are_dropped_and_the_connection_stays(broker: Broker, tmp_path: Path) -> None:
    wanted = settings(broker.url, tmp_path, subscriptions=(TOPICS.every_set,))
    with Listener(broker.port) as listener, Running(wanted) as uplink:
        connected(uplink)
        for number in range(400):
            listener.publish(f"{TOPICS.root}/source/dock/set", b"%d" % number)
        until(lambda: uplink.figures().incoming_dropped == 400 - 256)
        assert [incoming.payload for incoming in uplink.incoming.take_all()][-1] == b"399"
        uplink.mailbox.put(spool(1))
        until(lambda: listener.numbers() == [1])
        assert uplink.figures().connects == 1


def test_stopping_while_the_broker_is_away_is_quick_and_keeps_everything(tmp_path: Path) -> None:
    wanted = settings("mqtt://127.0.0.1:1", tmp_path)
    with Running(wanted) as uplink:
        for number in range(2000):
            uplink.mailbox.put(spool(number))
        started_s = time.monotonic()
    assert time.monotonic() - started_s < 3.0
    with Outbox(wanted.outbox_path) as outbox:
        assert outbox.figures().stored == 2000


def test_stopping_sends_what_can_be_sent(broker: Broker, tmp_path: Path) -> None:
    wanted = settings(broker.url, tmp_path, drain_per_s=10_000.0)
    with Listener(broker.port) as listener:
        with Running(wanted) as uplink:
            connected(uplink)
            for number in range(1000):
                uplink.mailbox.put(spool(number))
        until(lambda: len(listener.numbers()) == 1000)
        until(lambda: listener.on(TOPICS.available) == [b"online", b"stopped"])


def test_what_had_to_be_dropped_is_announced_where_it_is_missing(broker: Broker, tmp_path: Path) -> None:
    broker.kill()
    wanted = settings(broker.url, tmp_path, quota_bytes=1 << 20)
    with Running(wanted) as uplink:
        for number in range(6000):
            while len(uplink.mailbox) > 3000:
                threading.Event().wait(0.01)
            uplink.mailbox.put(spool(number))
        until(lambda: uplink.figures().accepted >= 6000, 20)
        until(lambda: uplink.figures().dropped > 0)
        broker.start()
        with Listener(broker.port) as listener:
            until(lambda: uplink.figures().stored == 0 and uplink.figures().connected, 30)
            until(lambda: len(listener.events()) == uplink.figures().sent)
            gaps = [document for document in listener.events() if document["type"] == "gap"]
            numbers = listener.numbers()
            assert sum(gap["count"] for gap in gaps) == 6000 - len(numbers) == uplink.figures().dropped
            assert all(gap["reason"] == "outbox full" for gap in gaps)
            seen = {document["spool"]["seq"] for document in listener.events() if document["type"] == "event"}
            for gap in gaps:
                assert not any(seq in seen for seq in range(gap["first"], gap["last"] + 1))


def test_a_second_appliance_on_the_same_outbox_is_told_so_in_one_sentence(broker: Broker, tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    wanted = settings(broker.url, tmp_path)
    with scene.generating(settings=wanted, first=0, count=10, rate_hz=100.0) as first:
        scene.wait_accepted(10, 10)
        with pytest.raises(OutboxError, match=f"process {first.pid}.*state_dir"):
            Uplink(wanted).claim()
    Uplink(wanted).claim()


def test_live_results_go_out_while_the_outbox_cannot_be_used_and_events_wait(broker: Broker, tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    wanted = settings(broker.url, tmp_path)
    elsewhere = replace(wanted, link=replace(wanted.link, client_id="elsewhere"), topics=Topics("appliance", "dock-2"))
    with Listener(broker.port) as listener:
        holder = scene.generating(settings=elsewhere, first=0, count=1, rate_hz=100.0)
        with holder:
            scene.wait_accepted(1, 10)
            with Running(wanted) as uplink:
                connected(uplink)
                uplink.mailbox.put(spool(7))
                uplink.mailbox.put(Publish(TOPICS.result("people"), {"n": 1}))
                until(lambda: listener.on(TOPICS.result("people")))
                until(lambda: any("another appliance" in alarm for alarm in uplink.figures().alarms))
                assert uplink.figures().accepted == 0
                holder.__exit__(None, None, None)
                until(lambda: 7 in listener.numbers(), 10)


def test_the_thread_shows_progress_with_and_without_a_broker(tmp_path: Path) -> None:
    with Running(settings("mqtt://127.0.0.1:1", tmp_path)) as uplink:
        until(lambda: "nobody listens" in uplink.figures().broker)
        assert not uplink.stuck(time.monotonic_ns())
        assert uplink.stuck(time.monotonic_ns() + 13_000_000_000)


def test_a_large_outbox_may_take_its_time_to_be_checked_and_nothing_else_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked, opens = threading.Event(), Outbox.open

    def opens_slowly(outbox: Outbox) -> None:
        assert checked.wait(10)
        opens(outbox)

    def in_20_s() -> int:
        return time.monotonic_ns() + 20_000_000_000

    monkeypatch.setattr(Outbox, "open", opens_slowly)
    with Running(settings("mqtt://127.0.0.1:1", tmp_path, quota_bytes=256_000_000)) as uplink:
        until(lambda: not uplink.stuck(in_20_s()), what="256 MB are 26 s more of a slow card")
        assert uplink.stuck(in_20_s() + 20_000_000_000), "not for ever"
        checked.set()
        until(lambda: uplink.stuck(in_20_s()), what="it is open")
        assert not uplink.stuck(time.monotonic_ns())


def test_topics_for_answers_that_the_broker_refuses_are_not_remembered(tmp_path: Path) -> None:
    """Whoever asks names the topic, perhaps another one each time, for months on one connection."""
    with ScriptedBroker() as broker:
        broker.puback = lambda topic: 0x87 if topic.startswith("asked/") else 0
        with Running(settings(broker.url, tmp_path)) as uplink:
            connected(uplink)
            for number in range(50):
                uplink.mailbox.put(Publish(f"asked/{number}", b"{}", qos=1, response_to=b"1"))
            until(lambda: uplink.figures().posts_dropped.get("refused by the broker") == 50)
            assert uplink.figures().alarms == ()
