"""The door: what is let in, what is refused, and what is not even answered."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from appliance.mqtt.incoming import Incoming
from appliance.questions.codec import HEADER_PROPERTY, QUESTION_LIMITS
from appliance.questions.question import Refused, Reply
from appliance.service.door import Door, DoorLimits
from appliance.service.outgoing import Answer, Outgoing
from appliance.service.reader import Reader
from appliance.service.room import Room
from scripts.benchmarks.crowd import question_of
from tests.appliance.service.asking import SOUND, Obedient
from tests.waiting import until

BASE = "appliance"


class House:
    """A room with its door, and no broker."""

    def __init__(self, room: Room, **limits: Any) -> None:
        self.room = room
        self.outgoing = Outgoing(threading.Condition())
        self.door = Door(room, self.outgoing, BASE, DoorLimits(**limits))
        self.reader = Reader(self.door, room, self.outgoing, QUESTION_LIMITS)

    def read(self, wait_s: float = 0.05) -> None:
        """As a reader's thread would, until nothing more is wanted for so long."""
        while (sealed := self.door.take(wait_s)) is not None:
            self.reader.read(sealed)

    def replies(self, count: int) -> list[Answer]:
        answers: list[Answer] = []

        def come() -> bool:
            self.read()
            answer = self.outgoing.reply()
            if answer is not None:
                answers.append(answer)
            return len(answers) >= count

        until(come)
        return answers

    @property
    def refusals(self) -> list[Refused]:
        return [each.said for each in self.outgoing.refusals(1000) if isinstance(each.said, Refused)]


@pytest.fixture
def backend() -> Obedient:
    return Obedient()


@pytest.fixture
def house(backend: Obedient) -> Iterator[House]:
    with Room({"tones": lambda: backend}) as room:
        room.load("tones")
        yield House(room, each=3, most=6, refusals_per_s=5)
        backend.going.set()


def message(device: str = "dock", within_ms: float = 5000, model: str = "tones", **changes: Any) -> Incoming:
    """A question as the broker hands it over."""
    payload = question_of(model, sound=SOUND)
    given: dict[str, Any] = {
        "topic": f"model-service/{model}/infer/{device}",
        "payload": payload.body,
        "qos": 1,
        "response_topic": f"{BASE}/{device}/answer",
        "correlation": payload.body[7:33],
        "user": tuple(payload.user(within_ms)),
    }
    return Incoming(**{**given, **changes})


def test_a_question_goes_in_and_its_answer_out_to_whom_it_came_from(house: House) -> None:
    item = message()
    house.door.put(item)
    [answer] = house.replies(1)
    assert isinstance(answer.said, Reply)
    assert answer.sender.response_topic == "appliance/dock/answer"
    assert answer.sender.question.encode() == item.correlation
    assert (house.door.open, house.door.waiting_for("tones")) == (0, 0)


NOT_ANSWERED: dict[str, tuple[dict[str, Any], str]] = {
    "the answer is to go to another device": ({"response_topic": "appliance/other/answer"}, "foreign"),
    "the answer is to go to another tree": ({"response_topic": "model-service/tones/infer/dock"}, "foreign"),
    "the answer is to go nowhere": ({"response_topic": None}, "foreign"),
    "a topic that is no question": ({"topic": "model-service/tones/available"}, "foreign"),
    "no id": ({"correlation": None}, "nameless"),
    "an id of another kind": ({"correlation": b"\xff" * 26}, "nameless"),
    "an id of a megabyte": ({"correlation": b"0" * (1 << 20)}, "nameless"),
}


@pytest.mark.parametrize("name", NOT_ANSWERED)
def test_what_nobody_may_be_told_is_counted_and_not_answered(house: House, name: str) -> None:
    changes, counter = NOT_ANSWERED[name]
    house.door.put(message(**changes))
    assert getattr(house.door.figures, counter) == 1
    assert (house.door.waiting_for("tones"), len(house.outgoing)) == (0, 0)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a model nobody has": ({"model": "cats"}, "unknown-model"),
    "no length": ({"user": (("deadline-ms", "100"),)}, "malformed"),
    "no deadline": ({"user": (("inference-header-content-length", "100"),)}, "malformed"),
    "a deadline that is no number": (
        {"user": (("inference-header-content-length", "100"), ("deadline-ms", "nan"))},
        "malformed",
    ),
    "a payload of noise": ({"payload": bytes(range(256))}, "malformed"),
    "an id that differs": ({"correlation": b"01JD0000000000000000000000"}, "malformed"),
    "no time": ({"within_ms": 0.0}, "expired"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_question_that_is_none_is_refused_with_its_reason(house: House, name: str) -> None:
    changes, code = REFUSED[name]
    house.door.put(message(**changes))
    house.read()
    assert [refused.code for refused in house.refusals] == [code]
    assert house.door.open == 0


def test_one_device_fills_its_own_places_and_nobody_elses(house: House, backend: Obedient) -> None:
    backend.going.clear()
    house.door.put(message("first"))
    house.read()
    until(lambda: backend.runs)
    for _ in range(20):
        house.door.put(message("loud"))
    house.door.put(message("quiet"))
    assert house.door.waiting_for("tones") == 4
    told = house.refusals
    assert [refused.code for refused in told] == ["busy"] * 5
    assert house.door.figures.untold == 12
    backend.going.set()
    devices = [answer.sender.device for answer in house.replies(5)]
    assert devices.index("quiet") <= 2


def test_a_question_that_comes_twice_is_answered_once(house: House, backend: Obedient) -> None:
    backend.going.clear()
    item = message()
    house.door.put(item)
    house.door.put(item)
    backend.going.set()
    house.replies(1)
    house.read()
    assert house.door.figures.repeated == 1
    assert len(backend.runs) == 1
    house.door.put(item)  # asked again after the answer: that was lost, perhaps
    house.replies(1)


def test_two_devices_may_use_the_same_id(house: House) -> None:
    item = message("a")
    house.door.put(item)
    other: dict[str, Any] = {"topic": "model-service/tones/infer/b", "response_topic": "appliance/b/answer"}
    house.door.put(message("b", payload=item.payload, correlation=item.correlation, user=item.user, **other))
    assert {answer.sender.device for answer in house.replies(2)} == {"a", "b"}


def test_more_bytes_than_may_wait_are_refused_and_nobody_may_take_them_all(backend: Obedient) -> None:
    with Room({"tones": lambda: backend}) as room:
        room.load("tones")
        house = House(room, waiting_bytes=2500, each_bytes=1000)
        for device in ("loud", "loud", "quiet", "calm", "late"):
            house.door.put(message(device, payload=bytes(800)))
        assert [refused.code for refused in house.refusals] == ["busy", "busy"]
        assert house.door.waiting_for("tones") == 3
        house.read()
        assert not house.door._bytes


def test_what_nobody_waits_for_any_more_makes_room(house: House, backend: Obedient) -> None:
    backend.going.clear()
    house.door.put(message("first"))
    house.read()
    until(lambda: backend.runs)
    for _ in range(3):
        house.door.put(message("dock"))
    house.read()
    for _ in range(2):
        house.door.put(message("dock", within_ms=20))
    late_s = time.monotonic() + 0.02
    until(lambda: time.monotonic() > late_s)
    house.door.put(message("dock"))
    assert (house.door.figures.late, house.door.waiting_for("tones")) == (2, 2)
    backend.going.set()
    house.replies(5)
    assert (house.door.open, house.door._bytes.total()) == (0, 0)


def test_what_has_waited_in_the_broker_has_less_time_left(house: House) -> None:
    house.door.put(message(within_ms=60_000, expires_s=0))
    house.read()
    assert [refused.code for refused in house.refusals] == ["expired"]


def test_questions_are_opened_no_sooner_than_the_model_wants_them(house: House, backend: Obedient) -> None:
    backend.going.clear()
    house.door.put(message("first"))
    house.read()
    until(lambda: backend.runs)
    for _ in range(3):
        house.door.put(message("loud"))
    house.read()
    assert house.door.waiting_for("tones") == 1  # one runs, two are ready, the rest stays sealed
    house.door.put(message("quiet"))
    house.read()
    assert house.door.waiting_for("tones") == 1  # there is room for somebody of whom nothing is ready
    backend.going.set()
    house.replies(5)
    assert [run[0].device for run in backend.runs] == ["first", "loud", "quiet", "loud", "loud"]


def test_one_device_is_read_by_one_reader_at_a_time(house: House) -> None:
    for device in ("loud", "loud", "quiet"):
        house.door.put(message(device))
    first, second = house.door.take(0.05), house.door.take(0.05)
    assert first is not None
    assert second is not None
    assert {first.sender.device, second.sender.device} == {"loud", "quiet"}
    assert house.door.take(0.05) is None
    house.door.done(first)
    third = house.door.take(0.05)
    assert third is not None
    assert third.sender.device == "loud"


def test_a_closed_door_lets_its_readers_go(house: House) -> None:
    house.door.close()
    assert house.door.take(60) is None


def test_what_waits_and_is_refused_at_the_door_is_counted_with_its_model(house: House, backend: Obedient) -> None:
    backend.going.clear()
    house.door.put(message("first"))
    house.read()
    until(lambda: backend.runs)
    for _ in range(5):
        house.door.put(message("loud"))
    house.door.put(message(user=()))
    [standing] = house.room.models()
    assert standing.waiting == 3
    assert dict(standing.figures.refused) == {"busy": 2, "malformed": 1}
    assert standing.figures.requests == 4  # three of the loud one are still outside
    assert house.door.figures.refused == 3


def test_noise_of_every_kind_is_refused_or_dropped_and_nothing_breaks(house: House) -> None:
    chance = random.Random(7)
    good = message()
    pieces: dict[str, list[Any]] = {
        "topic": [good.topic, "model-service/tones/infer/", "model-service//infer/dock", "", "a/b", "/" * 50],
        "payload": [good.payload, b"", good.payload[:100], good.payload + b"x", bytes(1000), b"{" * 5000],
        "response_topic": [good.response_topic, None, "", "#", "appliance/dock/answer/"],
        "correlation": [good.correlation, None, b"", bytes(26), b"0" * 27],
        "expires_s": [None, 0, 1, 4_000_000_000],
        "user": [good.user, (), good.user * 9, (("deadline-ms", "1e309"), *good.user), ((HEADER_PROPERTY, "-1"),)],
    }
    for _ in range(3000):
        changes = {name: chance.choice(values) for name, values in pieces.items() if chance.random() < 0.4}
        body = bytearray(changes.get("payload", good.payload))
        if body and chance.random() < 0.5:
            body[chance.randrange(len(body))] = chance.randrange(256)
        house.door.put(replace(good, **{**changes, "payload": bytes(body)}))
        if chance.random() < 0.2:
            house.read(wait_s=0)

    def all_answered() -> bool:
        house.read()
        return house.door.open == 0

    until(all_answered)
    house.room.check()
    assert house.door.figures.received == 3000
    house.outgoing.refusals(1000)
    while house.outgoing.reply() is not None:
        pass
    house.door.put(message("another"))
    [answer] = house.replies(1)
    assert isinstance(answer.said, Reply)
