"""The uplink against a real broker and a real file."""

from __future__ import annotations

from pathlib import Path

from appliance.outgoing import Publish
from tests.conftest import Broker
from tests.uplinks import TOPICS, Listener, Running, connected, settings, spool
from tests.waiting import until


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
