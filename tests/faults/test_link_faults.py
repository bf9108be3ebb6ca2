"""The link under fire: resets, stalls, dead threads, errors in our own callbacks, strangers with our name."""

from __future__ import annotations

import ctypes
import random
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from appliance.mqtt import connection, reasons
from appliance.uplink.outgoing import Publish
from appliance.uplink.uplink import Uplink
from tests.chaos.scene import Scene, at_work
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.tcp_faults import FaultyProxy
from tests.uplinks import TOPICS, Listener, Running, connected, settings, spool
from tests.waiting import until

pytestmark = pytest.mark.faults


def hand_over(uplink: Uplink, numbers: range) -> None:
    for number in numbers:
        uplink.mailbox.put(spool(number))


# Goal G12: errors in callbacks, and the death of paho's thread.


class Once:
    """Stands for a function of ours and fails the first time it is called."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.failed = threading.Event()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if not self.failed.is_set():
            self.failed.set()
            raise RuntimeError("injected")
        return self._function(*arguments, **named)


@pytest.mark.parametrize("name", ["Up", "Acknowledged", "_incoming"])
def test_an_error_in_a_callback_of_ours_costs_no_event_and_seconds_at_most(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    broken = Once(getattr(connection, name))
    wanted = settings(broker.url, tmp_path, subscriptions=(TOPICS.every_set,))
    monkeypatch.setattr(connection, name, broken)
    with Listener(broker.port) as listener, Running(wanted) as uplink:
        started_s = time.monotonic()
        hand_over(uplink, range(100))
        connected(uplink, 10)

        def commanded() -> int:
            listener.publish(f"{TOPICS.root}/source/dock/set", b"{}")
            return len(uplink.incoming)

        until(commanded, 10)
        hand_over(uplink, range(100, 200))
        until(lambda: listener.numbers() == list(range(200)), 10)
        until(broken.failed.is_set)
        seconds = time.monotonic() - started_s
        until(lambda: uplink.figures().stored == 0)
        connects = uplink.figures().connects
    assert connects == (2 if name == "Acknowledged" else 1)
    tell("G12 error in a callback", None, where=name, lost=0, seconds=round(seconds, 1))


def test_an_error_while_the_end_is_noted_is_no_end_for_ever(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nobody says that the connection is over: the thread is missed instead."""
    broken = Once(reasons.ending)
    monkeypatch.setattr(reasons, "ending", broken)
    with FaultyProxy(broker.port) as line, Running(settings(line.url, tmp_path)) as uplink:
        connected(uplink)
        line.reset()
        until(lambda: uplink.figures().connects == 2, 10)
        assert broken.failed.is_set()


def paho_thread() -> threading.Thread:
    """The network thread of the appliance's client, not of a subscriber here."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("paho-mqtt-client-appliance-")]
    return threads[-1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # that is what it dies of
def test_a_network_thread_that_dies_is_missed_and_replaced(broker: Broker, tmp_path: Path) -> None:
    deaths = 3
    waits = []
    with Listener(broker.port) as listener, Running(settings(broker.url, tmp_path)) as uplink:
        for death in range(deaths):
            until(lambda death=death: uplink.figures().connects == death + 1)  # type: ignore[misc]
            thread = paho_thread()
            died_s = time.monotonic()
            # An exception from outside; SystemExit, which no handler reports.
            assert thread.ident is not None
            raised = ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit)
            )
            assert raised == 1
            hand_over(uplink, range(death * 50, death * 50 + 50))
            until(lambda death=death: uplink.figures().connects == death + 2, 10)  # type: ignore[misc]
            waits.append(time.monotonic() - died_s)
        until(lambda: listener.numbers() == list(range(deaths * 50)), 10)
    tell("G12 dead thread", None, deaths=deaths, lost=0, replaced_s=round(max(waits), 1))


# Goal G8: the order over resets, and ends that are no ends.


LONG_QUEUE = "max_queued_messages 0"
"""A broker that throws nothing away: these tests are about the link, at a pace that no default broker bears."""


def test_ten_resets_under_full_flow_lose_nothing_and_turn_nothing_around(
    new_broker: type[Broker], tmp_path: Path, long_run: bool
) -> None:
    events, resets, seed = (24_000 if long_run else 6_000), 10, 23
    chance = random.Random(seed)
    scene = Scene(tmp_path)
    pause = threading.Event()
    with (
        at_work(new_broker(tmp_path, LONG_QUEUE)) as broker,
        FaultyProxy(broker.port) as line,
        scene.receiving(broker.port),
    ):
        wanted = settings(line.url, tmp_path, drain_per_s=10_000.0)
        with scene.generating(settings=wanted, first=0, count=events, rate_hz=events / 6):
            for _ in range(resets):
                pause.wait(chance.uniform(0.3, 0.7))
                line.reset()
            scene.wait_accepted(events, 30)
            scene.wait_received(30)
    report = scene.report()
    tell("M9 order over resets", report, resets=resets, seed=seed)
    assert report.accepted == events
    assert report.lost == report.out_of_order == report.conflicts == report.unidentified == report.announced == 0


ENDS: dict[str, Callable[[FaultyProxy], None]] = {
    "the broker has forgotten us": lambda line: line.forget(),
    "the broker's side is closed": lambda line: line.half_close(),
    "it takes its time to close": lambda line: line.close_slowly(0.3),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_connection_that_ends_on_one_side_only_is_given_up_and_made_again(
    broker: Broker, tmp_path: Path, end: str
) -> None:
    wanted = settings(broker.url, tmp_path)
    with FaultyProxy(broker.port) as line, Listener(broker.port) as listener:
        link = replace(wanted.link, url=line.url, keepalive_s=1)
        with Running(replace(wanted, link=link)) as uplink:
            connected(uplink)
            hand_over(uplink, range(20))
            until(lambda: len(listener.numbers()) == 20)
            ENDS[end](line)
            started_s = time.monotonic()
            hand_over(uplink, range(20, 40))
            until(lambda: listener.numbers() == list(range(40)), 10)
            seconds = time.monotonic() - started_s
            until(lambda: uplink.figures().connects >= 2)
    tell("G8 one-sided end", None, end=end, keepalive_s=1, lost=0, delivered_after_s=round(seconds, 1))


# Trap: what is published before the broker answers, and more than it can take.


def test_what_is_handed_over_before_the_broker_answers_arrives_exactly_once(broker: Broker, tmp_path: Path) -> None:
    with FaultyProxy(broker.port) as line, Listener(broker.port) as listener:
        line.stalled = True
        with Running(settings(line.url, tmp_path)) as uplink:
            until(lambda: line.connections)
            hand_over(uplink, range(100))
            for _ in range(10):
                uplink.mailbox.put(Publish(TOPICS.result("people"), {"n": 1}))
            uplink.mailbox.put(Publish(TOPICS.info, {"version": "1"}, qos=1, retain=True))
            until(lambda: uplink.figures().stored == 100 and uplink.figures().posts_dropped.get("not connected") == 10)
            assert uplink.figures().in_flight == 0
            line.stalled = False
            until(lambda: uplink.figures().stored == 0)
            assert len(listener.events()) == 100
            assert len(listener.on(TOPICS.info)) == 1
            assert listener.on(TOPICS.result("people")) == []


def test_a_broker_that_stops_answering_has_no_more_on_its_way_than_the_window(
    new_broker: type[Broker], tmp_path: Path
) -> None:
    """Far from the 65 535 that paho can number: the rest waits on disk, live results give way and are counted."""
    events = results = 3000
    with (
        at_work(new_broker(tmp_path, LONG_QUEUE)) as broker,
        FaultyProxy(broker.port) as line,
        Listener(broker.port) as listener,
        Running(settings(line.url, tmp_path, drain_per_s=10_000.0)) as uplink,
    ):
        connected(uplink)
        until(lambda: uplink.figures().in_flight == 0)
        line.stalled = True
        hand_over(uplink, range(events))
        until(lambda: uplink.figures().stored == events, 10)
        assert 1 <= uplink.figures().in_flight <= 20
        for _ in range(results):
            until(lambda: len(uplink.mailbox) < 1000)
            uplink.mailbox.put(Publish(TOPICS.result("people"), b"x" * 10_000))
        until(lambda: len(uplink.mailbox) == 0)
        line.stalled = False
        until(lambda: listener.numbers() == list(range(events)), 30)

        def all_accounted_for() -> bool:
            dropped = sum(uplink.figures().posts_dropped.values())
            return dropped > 0 and len(listener.on(TOPICS.result("people"))) + dropped == results

        until(all_accounted_for)
        assert uplink.figures().intake_dropped == 0


# Goal G10: what the window gives on a slow line.


def test_a_round_trip_of_200_ms_costs_no_more_than_the_window_says(
    broker: Broker, tmp_path: Path, long_run: bool
) -> None:
    """One window per round trip, which mosquitto as it comes keeps small: 20 / 0.2 s = 100 events a second."""
    window, round_trip_s, events = 20, 0.2, (2000 if long_run else 300)
    with FaultyProxy(broker.port) as line, Listener(broker.port) as listener:
        line.delay_s = round_trip_s / 2
        with Running(settings(line.url, tmp_path, drain_per_s=10_000.0)) as uplink:
            connected(uplink)
            hand_over(uplink, range(events))
            until(lambda: listener.numbers())
            started_s = time.monotonic()
            until(lambda: len(listener.numbers()) == events, 60)
            per_s = events / (time.monotonic() - started_s)
            assert listener.numbers() == list(range(events))
    tell("G10 slow line", None, round_trip_s=round_trip_s, window=window, default_per_s=round(per_s))
    assert per_s >= 0.8 * window / round_trip_s


@pytest.mark.parametrize(
    ("drain", "least_per_s", "told"),
    [({"drain_per_s": 1e6}, 2000, "per_s"), ({}, 500, "paced_per_s")],
    ids=["as fast as it goes", "as installed"],
)
def test_a_broker_that_allows_a_thousand_on_their_way_gets_2000_a_second_at_a_round_trip_of_200_ms(
    new_broker: type[Broker], tmp_path: Path, long_run: bool, drain: dict[str, float], least_per_s: float, told: str
) -> None:
    """As `appliance broker setup` makes one. Subscriber and appliance are processes of their own."""
    window, round_trip_s, events = 1000, 0.2, (40_000 if long_run else 10_000)
    scene = Scene(tmp_path)
    with (
        at_work(new_broker(tmp_path, f"{LONG_QUEUE}\nmax_inflight_messages {window}")) as broker,
        FaultyProxy(broker.port) as line,
        scene.receiving(broker.port),
    ):
        wanted = settings(line.url, tmp_path, **drain)
        line.stalled = True
        with scene.generating(settings=wanted, first=0, count=events, rate_hz=20_000.0):
            scene.wait_accepted(events, 30)
            line.delay_s, line.stalled = round_trip_s / 2, False
            scene.wait_some_received(20)
            started_s = time.monotonic()
            scene.wait_received(120)
            per_s = events / (time.monotonic() - started_s)
    tell("G10 wide window", None, lines=1, round_trip_s=round_trip_s, window=window, **{told: round(per_s)})
    assert per_s >= least_per_s


# Somebody else with our name.


def test_two_appliances_with_one_name_say_so_and_do_not_fight(broker: Broker, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        folder.mkdir()
    first, second = (settings(broker.url, folder) for folder in folders)
    link = replace(first.link, client_id="appliance-dock-1", will_delay_s=1, taken_over_wait_s=4.0)
    with Running(replace(first, link=link)) as one:
        with Running(replace(second, link=replace(link, taken_over_wait_s=60.0))) as other:
            started_s = time.monotonic()
            until(lambda: "another client uses the id" in other.figures().broker, 30)
            found_s = time.monotonic() - started_s
            assert '"appliance-dock-1"' in other.figures().broker
            connected(one, 10)
            before = one.figures().connects
            quiet_s = time.monotonic() + 2.0
            until(lambda: time.monotonic() > quiet_s)
            assert (one.figures().connects, one.figures().connected) == (before, True)
            connects = before + other.figures().connects
        connected(one)
    tell("M9 same client id", None, found_s=round(found_s, 1), connects=connects)
    assert connects <= 12


# The return of a broker, with the waits of a real appliance.


def test_a_broker_that_returns_is_found_within_five_seconds(broker: Broker, tmp_path: Path, long_run: bool) -> None:
    away_s = 30.0 if long_run else 3.0
    wanted = settings(broker.url, tmp_path)
    link = replace(wanted.link, first_wait_s=0.5, longest_wait_s=4.0)
    with Running(replace(wanted, link=link)) as uplink:
        connected(uplink)
        broker.kill()
        gone_s = time.monotonic()
        hand_over(uplink, range(20))
        until(lambda: time.monotonic() > gone_s + away_s, away_s + 1)
        assert "nobody listens there" in uplink.figures().broker
        back_s = time.monotonic()
        broker.start()
        connected(uplink, 5.0)
        reconnected_s = time.monotonic() - back_s
        with Listener(broker.port) as listener:
            until(lambda: listener.numbers() == list(range(20)))
            assert listener.on(TOPICS.available) == [b"online"]
    tell("G2 return", None, away_s=away_s, reconnected_s=round(reconnected_s, 1))
