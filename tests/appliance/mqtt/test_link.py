"""The link against a real broker: what it says, how it waits, what it leaves behind."""

from __future__ import annotations

import gc
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.mqtt.connection import Down, Up
from appliance.mqtt.reasons import Loss
from tests.children import open_files
from tests.conftest import Broker, free_port
from tests.links import WILL, Hand, turned
from tests.scripted_broker import (
    ScriptedBroker,
)
from tests.uplinks import Listener
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]


@pytest.fixture
def scripted() -> Iterator[ScriptedBroker]:
    with ScriptedBroker() as broker:
        yield broker


# What it says.


def test_it_connects_says_so_and_leaves_without_its_last_will(broker: Broker) -> None:
    with Listener(broker.port) as listener:
        with turned(broker.url, will_delay_s=0) as hand:
            hand.await_event(Up)
            assert hand.link.words == f"connected to {broker.url}"
        assert hand.link.words == "disconnected in order"
        listener.publish("appliance/last", b"")
        until(lambda: listener.on("appliance/last"))
        assert listener.on(WILL) == []


def test_the_last_will_comes_when_it_leaves_without_a_word(broker: Broker) -> None:
    with Listener(broker.port) as listener, turned(broker.url, will_delay_s=0) as hand:
        hand.await_event(Up)
        hand.link.give_up("a test")
        until(lambda: listener.on(WILL) == [b"offline"])


def test_a_return_within_the_delay_of_the_last_will_stays_unseen(broker: Broker) -> None:
    with Listener(broker.port) as listener, turned(broker.url, will_delay_s=1) as hand:
        hand.await_event(Up)
        hand.link.give_up("a test")
        hand.await_event(Up)
        over_s = time.monotonic() + 1.5
        until(lambda: time.monotonic() > over_s)
        assert listener.on(WILL) == []


def test_nobody_listens_there() -> None:
    with turned(f"mqtt://127.0.0.1:{free_port()}") as hand:
        down = hand.await_event(Down)
    assert down.loss is Loss.UNREACHABLE
    assert "nobody listens there" in down.words


def test_a_name_that_does_not_exist() -> None:
    with turned("mqtt://no-such-broker.invalid") as hand:
        assert "the name is not known: check [mqtt] broker" in hand.await_event(Down, 15).words


BANNERS = {
    "a web server": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a mail server": b"220 mail ESMTP\r\n",
    "noise": bytes(range(256)),
    "an older MQTT": b"\x20\x02\x00\x01",
    "a broker that talks before it answers": b"\x30\x05\x00\x01ahi",
}


@pytest.mark.parametrize("name", BANNERS)
def test_what_is_no_mqtt_5_broker_is_left_and_tried_again(scripted: ScriptedBroker, name: str) -> None:
    scripted.connack = None
    scripted.greets_with = BANNERS[name]
    with turned(scripted.url, answer_within_s=0.5) as hand:
        words = hand.await_event(Down).words
        assert "MQTT 5" in words or "no answer" in words
        scripted.greets_with, scripted.connack = b"", 0
        hand.await_event(Up)


def test_a_broker_that_accepts_and_says_nothing_is_given_up_in_time(scripted: ScriptedBroker) -> None:
    scripted.connack = None
    with turned(scripted.url, answer_within_s=0.5) as hand:
        started_s = time.monotonic()
        down = hand.await_event(Down)
        assert 0.5 <= time.monotonic() - started_s < 1.0
        assert down.loss is Loss.UNREACHABLE
        assert "no answer to our greeting within 0.5 s" in down.words
        scripted.hang_up()
        scripted.connack = 0
        hand.await_event(Up)


def test_a_wrong_password_is_named_and_a_mended_one_works_without_help(
    new_broker: type[Broker], tmp_path: Path
) -> None:
    right, wrong = "correct horse", "battery staple"
    (tmp_path / "passwords").write_text(f"dock:{right}\n")
    (tmp_path / "passwords").chmod(0o600)
    _hash(tmp_path / "passwords")
    broker = new_broker(tmp_path, f"allow_anonymous false\npassword_file {tmp_path}/passwords")
    broker.start()
    secret = tmp_path / "secret"
    secret.write_text(wrong + "\n")
    try:
        with turned(broker.url, username="dock", password_file=secret) as hand:
            down = hand.await_event(Down)
            assert down.loss is Loss.REFUSED
            assert "check [mqtt] username and password_file" in down.words
            assert wrong not in down.words
            secret.write_text(right + "\n")
            hand.await_event(Up)
    finally:
        broker.kill()


def _hash(passwords: Path) -> None:
    """As mosquitto keeps them."""
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)


def test_a_password_file_that_is_missing_is_named_and_found_when_it_is_there(broker: Broker, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    with turned(broker.url, username="dock", password_file=secret) as hand:
        assert f"{secret}: the secret cannot be read" in hand.await_event(Down).words
        secret.write_text("anything\n")
        hand.await_event(Up)


@pytest.mark.parametrize("code", [0x80, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x97, 0x9F])
def test_a_refusal_keeps_us_asking_until_it_ends(scripted: ScriptedBroker, code: int) -> None:
    scripted.connack = code
    with turned(scripted.url, longest_refused_wait_s=0.2) as hand:
        assert hand.await_event(Down).words.endswith(f"(0x{code:02X})")
        hand.await_event(Down)
        scripted.connack = 0
        hand.await_event(Up)


# How it waits.


def waits(hand: Hand, count: int) -> list[float]:
    """How long the link would wait after each of so many failed attempts, on a clock of our own."""
    found = []
    for _ in range(count):
        before_s = hand.link.next_try_s
        hand.link.tend(before_s)
        hand.at(before_s)
        found.append(hand.link.next_try_s - before_s)
    return found


def test_the_waits_double_up_to_their_limit_each_shortened_by_chance() -> None:
    seen = set()
    for _ in range(3):
        with turned(f"mqtt://127.0.0.1:{free_port()}", first_wait_s=0.5, longest_wait_s=4.0) as hand:
            found = waits(hand, 7)
        for wait_s, full_s in zip(found, [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0], strict=True):
            assert full_s / 2 <= wait_s <= full_s
        seen.add(tuple(found))
    assert len(seen) == 3


def test_refusals_are_asked_about_less_and_less_often(scripted: ScriptedBroker) -> None:
    scripted.connack = 0x86
    with turned(scripted.url, first_wait_s=0.5, longest_refused_wait_s=30.0) as hand:
        found = waits(hand, 7)
    for wait_s, full_s in zip(found, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0], strict=True):
        assert full_s / 2 <= wait_s <= full_s


def test_an_attempt_that_took_long_has_waited_already() -> None:
    with turned(f"mqtt://127.0.0.1:{free_port()}", first_wait_s=0.5, longest_wait_s=4.0) as hand:
        waits(hand, 5)
        began_s = hand.link.next_try_s
        hand.link.tend(began_s)
        hand.at(began_s + 5.0)
        assert began_s + 5.0 < hand.link.next_try_s <= began_s + 5.5


def test_a_connection_that_lasted_begins_with_the_shortest_wait(scripted: ScriptedBroker) -> None:
    with turned(scripted.url, first_wait_s=0.5, longest_wait_s=4.0) as hand:
        scripted.connack = 0x88
        waits(hand, 5)
        scripted.connack = 0
        hand.link.tend(hand.link.next_try_s)
        for now_s, wanted in ((100.0, Up), (104.0, Down)):
            assert isinstance(hand.at(now_s), wanted)
            hand.link.give_up("a test")
        assert 106.0 <= hand.link.next_try_s <= 108.0, "four seconds are not enough"
        hand.link.tend(hand.link.next_try_s)
        for now_s, wanted in ((200.0, Up), (206.0, Down)):
            assert isinstance(hand.at(now_s), wanted)
            hand.link.give_up("a test")
        assert 206.25 <= hand.link.next_try_s <= 206.5


# What it leaves behind.


@pytest.fixture
def no_collector() -> Iterator[None]:
    """The garbage collector does not tidy up behind us."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_a_hundred_refused_connections_leave_no_file_and_no_thread_behind() -> None:
    with turned(f"mqtt://127.0.0.1:{free_port()}", first_wait_s=0.001, longest_wait_s=0.001) as hand:
        hand.await_event(Down)
        files, threads = open_files(), threading.active_count()
        for _ in range(100):
            hand.await_event(Down)
        until(lambda: threading.active_count() <= threads + 1)
        assert open_files() <= files + 3


@pytest.mark.usefixtures("no_collector")
def test_a_hundred_lost_connections_leave_no_file_and_no_thread_behind(broker: Broker) -> None:
    with turned(broker.url, first_wait_s=0.001, longest_wait_s=0.001) as hand:
        hand.await_event(Up)
        files, threads = open_files(), threading.active_count()
        for _ in range(100):
            hand.link.give_up("a test")
            hand.await_event(Up)
        until(lambda: threading.active_count() <= threads + 1)
        until(lambda: open_files() <= files + 3)


def test_a_listener_without_a_word_costs_no_thread_for_each_attempt() -> None:
    """Connections pile up in the backlog of a program that does not accept."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as deaf:
        url = f"mqtt://127.0.0.1:{deaf.getsockname()[1]}"
        with turned(url, answer_within_s=0.05, first_wait_s=0.001, longest_wait_s=0.001) as hand:
            hand.await_event(Down)
            threads = threading.active_count()
            for _ in range(20):
                hand.await_event(Down)
            until(lambda: threading.active_count() <= threads + 2)
