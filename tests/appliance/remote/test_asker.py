"""Questions to a service over a real broker: each gets one outcome, in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import paho.mqtt.client as mqtt
import pytest

from appliance.questions.question import Refused, Reply
from appliance.remote.asker import Asker
from appliance.remote.open_questions import Outcome
from appliance.result import ModelId
from tests.conftest import Broker
from tests.model_services import (
    MODEL,
    Scripted,
    Taken,
    ask,
    asked,
    asking,
    at_once,
    question_id,
    reply,
    scripted,
)
from tests.scripted_broker import ScriptedBroker
from tests.tcp_faults import FaultyProxy
from tests.waiting import until

SOON_S = 0.15
NO_MATCHING_SUBSCRIBERS = 0x10


def never(_service: Scripted, _message: mqtt.MQTTMessage) -> None:
    """A service that says nothing."""


def test_a_question_gets_the_reply_of_the_service_on_the_thread_of_the_connection(broker: Broker) -> None:
    with scripted(broker.port), asking(broker.url) as asker:
        question, taken = ask(asker, within_s=5)
        outcome = taken.outcome()
        assert isinstance(outcome, Reply)
        assert (outcome.id, outcome.service, outcome.model) == (question.id, "attic", MODEL)
        assert outcome.answer is not None
        assert [each.label for each in outcome.answer.predictions] == ["person"]
        assert taken.thread.startswith("paho-mqtt-client")
        until(lambda: asker.figures().answered)
        figures = asker.figures()
    assert (figures.sent, figures.answered, figures.refused, figures.expired, figures.late) == (1, 1, 0, 0, 0)
    assert figures.round_trips.p95_ms is not None
    assert figures.round_trips.p95_ms < 5000


def test_a_question_says_who_asks_where_to_answer_and_how_long_it_is_worth_something(broker: Broker) -> None:
    with scripted(broker.port) as service, asking(broker.url) as asker:
        question, taken = ask(asker, within_s=2.5)
        taken.outcome()
        message = service.questions.get(timeout=5)
    properties: Any = message.properties
    assert message.topic == "model-service/people/infer/dock-1"
    assert message.qos == 1
    assert not message.retain
    assert properties.ResponseTopic == "appliance/dock-1/answer"
    assert properties.CorrelationData == question.id.encode()
    assert properties.MessageExpiryInterval in (2, 3)
    left_ms = float(dict(properties.UserProperty)["deadline-ms"])
    assert 2000 < left_ms <= 2500


def test_the_bytes_that_are_counted_are_those_of_the_packets(broker: Broker) -> None:
    with scripted(broker.port), asking(broker.url) as asker:
        ask(asker, within_s=5, padding=20_000)[1].outcome()
        until(lambda: asker.figures().sent)
        figures = asker.figures()
    assert 20_000 < figures.sent_bytes < 20_700


def test_without_an_answer_the_question_expires_at_its_deadline_and_the_answer_is_only_counted(broker: Broker) -> None:
    with scripted(broker.port, never) as service, asking(broker.url) as asker:
        question, taken = ask(asker, within_s=SOON_S)
        assert taken.refusal().code == "expired"
        assert taken.thread == "asker"
        late_by_ms = (taken.at_ns[0] - question.deadline_ns) / 1e6
        assert 0 <= late_by_ms < 10
        service.answer(service.questions.get(timeout=5), reply(question.id))
        until(lambda: asker.figures().late == 1)
        assert len(taken.outcomes) == 1
        assert asker.figures().expired == 1
        assert asker.figures().answered == 0


def test_a_deadline_earlier_than_those_known_is_kept(broker: Broker) -> None:
    with scripted(broker.port, never), asking(broker.url) as asker:
        for within_s in (10.0, 0.12, 0.06, 0.03):
            question, taken = ask(asker, within_s)
            if within_s < 1:
                assert taken.refusal().code == "expired"
                assert 0 <= (taken.at_ns[0] - question.deadline_ns) / 1e6 < 10


def test_a_second_answer_is_counted_and_not_delivered(broker: Broker) -> None:
    def twice(service: Scripted, message: mqtt.MQTTMessage) -> None:
        at_once(service, message)
        at_once(service, message)

    with scripted(broker.port, twice), asking(broker.url) as asker:
        _, taken = ask(asker, within_s=5)
        taken.outcome()
        until(lambda: asker.figures().repeated == 1)
        assert len(taken.outcomes) == 1


@pytest.mark.parametrize(
    ("wrong", "counted"),
    [
        ({"correlation": b"01ARZ3NDEKTSV4RRFFQ69G5FAV"}, "malformed"),
        ({"correlation": b"\xff\xfe"}, "malformed"),
        ({"body": b"{}"}, "malformed"),
        ({"body": b"\x80\x04\x95"}, "malformed"),
        ({"body": b""}, "malformed"),
    ],
)
def test_what_does_not_read_as_the_answer_does_not_take_its_place(
    broker: Broker, wrong: dict[str, bytes], counted: str
) -> None:
    def forged_first(service: Scripted, message: mqtt.MQTTMessage) -> None:
        service.answer(message, reply(question_id(message)), **wrong)  # type: ignore[arg-type]  # of the test's table
        at_once(service, message)

    with scripted(broker.port, forged_first), asking(broker.url) as asker:
        _, taken = ask(asker, within_s=5)
        assert isinstance(taken.outcome(), Reply)
        until(lambda: getattr(asker.figures(), counted) == 1)


def test_an_answer_of_another_version_or_of_the_wrong_kind_is_no_answer(broker: Broker) -> None:
    def others_first(service: Scripted, message: mqtt.MQTTMessage) -> None:
        other = ModelId("people", "2", MODEL.digest)
        service.answer(message, reply(question_id(message), model=other))
        service.answer(message, reply(question_id(message), answer=None))
        at_once(service, message)

    with scripted(broker.port, others_first), asking(broker.url) as asker:
        _, taken = ask(asker, within_s=5, version="1")
        outcome = taken.outcome()
        assert isinstance(outcome, Reply)
        assert outcome.model == MODEL
        until(lambda: asker.figures().malformed == 2)


def test_an_answer_to_a_question_of_somebody_else_is_foreign(broker: Broker) -> None:
    question, _ = asked()
    with scripted(broker.port, never) as service, asking(broker.url) as asker:
        _, taken = ask(asker, within_s=SOON_S)
        message = service.questions.get(timeout=5)
        stranger = reply(question.id)
        properties: Any = message.properties
        properties.CorrelationData = question.id.encode()
        service.answer(message, stranger)
        until(lambda: asker.figures().foreign == 1)
        assert taken.refusal().code == "expired"


def test_a_refusal_of_the_service_is_delivered_with_its_words(broker: Broker) -> None:
    def busy(service: Scripted, message: mqtt.MQTTMessage) -> None:
        service.answer(message, Refused("busy", "40 questions wait"))

    with scripted(broker.port, busy), asking(broker.url) as asker:
        _, taken = ask(asker, within_s=5)
        refusal = taken.refusal()
        assert (refusal.code, refusal.words) == ("busy", "40 questions wait")
        until(lambda: asker.figures().refused)
        figures = asker.figures()
        assert figures.reasons == {"busy": 1}


def test_without_a_service_the_question_is_refused_long_before_its_deadline(broker: Broker) -> None:
    with asking(broker.url) as asker:
        began_s = time.monotonic()
        _, taken = ask(asker, within_s=30)
        refusal = taken.refusal()
        assert (refusal.code, refusal.words) == ("failed", "no model service takes questions for this model")
        assert time.monotonic() - began_s < 5


def test_without_a_connection_the_question_is_refused_at_once_and_not_sent_later(
    new_broker: type[Broker], tmp_path: Any
) -> None:
    broker = new_broker(tmp_path)
    with asking(broker.url, await_connection=False) as asker:
        _, taken = ask(asker, within_s=30)
        refusal = taken.refusal()
        assert refusal.code == "failed"
        assert "no connection to the broker" in refusal.words
        broker.start()
        try:
            with scripted(broker.port) as service:
                until(lambda: asker.figures().connected)
                second, again = ask(asker, within_s=5)
                again.outcome()
                assert question_id(service.questions.get(timeout=5)) == second.id
                assert service.questions.empty()
        finally:
            broker.kill()


def test_a_question_whose_time_is_over_is_not_sent(broker: Broker) -> None:
    with scripted(broker.port) as service, asking(broker.url) as asker:
        _, taken = ask(asker, within_s=-1)
        assert taken.refusal(within_s=0).code == "expired"
        assert taken.thread == threading.current_thread().name
        ask(asker, within_s=5)[1].outcome()
        assert service.questions.qsize() == 1


def test_a_question_larger_than_the_broker_takes_is_refused_and_the_connection_stays(
    new_broker: type[Broker], tmp_path: Any
) -> None:
    broker = new_broker(tmp_path, "max_packet_size 20000")
    broker.start()
    try:
        with scripted(broker.port), asking(broker.url) as asker:
            _, taken = ask(asker, within_s=5, padding=30_000)
            assert taken.refusal().code == "too-large"
            assert isinstance(ask(asker, within_s=5)[1].outcome(), Reply)
            assert asker.figures().connects == 1
    finally:
        broker.kill()


def test_when_the_asker_stops_every_open_question_is_told_so(broker: Broker) -> None:
    with scripted(broker.port, never), asking(broker.url) as asker:
        taken = [ask(asker, within_s=30)[1] for _ in range(10)]
        until(lambda: asker.figures().open == 10)
    assert [each.refusal().code for each in taken] == ["draining"] * 10
    _, afterwards = ask(asker)
    assert afterwards.refusal().code == "draining"


def test_a_burst_larger_than_the_window_is_refused_rather_than_queued(broker: Broker) -> None:
    count = 500
    with scripted(broker.port), asking(broker.url) as asker:
        taken = [ask(asker, within_s=10)[1] for _ in range(count)]
        outcomes = [each.outcome(15) for each in taken]
    answered = [each for each in outcomes if isinstance(each, Reply)]
    assert answered
    assert {each.code for each in outcomes if isinstance(each, Refused)} <= {"busy"}
    assert len(outcomes) == count


def test_the_standing_of_a_model_follows_what_services_announce(broker: Broker) -> None:
    with scripted(broker.port) as service, asking(broker.url) as asker:
        assert not asker.standing("people").usable
        assert "no model service is there" in asker.standing("people").words
        service.announce(queue_ms=3.5)
        until(lambda: asker.standing("people").usable)
        [offer] = asker.standing("people").offers
        assert (offer.service, offer.model.queue_ms, offer.model.stages) == ("attic", 3.5, ("head",))
        assert "attic has people 1, not 2" in asker.standing("people", version="2").words
        assert "attic has no horses" in asker.standing("horses").words
        assert not asker.standing("people", version="2").usable
        service.announce("draining")
        until(lambda: not asker.standing("people").usable)
        assert "attic is draining" in asker.standing("people").words


@pytest.mark.system
def test_a_stopped_broker_is_part_of_the_standing(broker: Broker) -> None:
    with scripted(broker.port) as service, asking(broker.url) as asker:
        service.announce()
        until(lambda: asker.standing("people").usable)
        broker.kill()
        until(lambda: not asker.standing("people").connected)
        assert not asker.standing("people").usable


def test_a_broker_that_keeps_the_answers_from_us_is_part_of_the_standing() -> None:
    """Every question would wait for its deadline in vain."""
    with ScriptedBroker() as broker:
        broker.suback = 0x87
        with asking(broker.url) as asker:
            until(lambda: "appliance/dock-1/answer: the broker does not let us" in asker.standing("people").words)
            assert not asker.standing("people").usable


def test_an_announcement_that_is_none_takes_the_service_out(broker: Broker) -> None:
    with scripted(broker.port) as service, asking(broker.url) as asker:
        service.announce()
        until(lambda: asker.standing("people").usable)
        service.client.publish("model-service/attic/available", b'{"state": "online", "models": 3}', 1, retain=True)
        until(lambda: not asker.standing("people").usable)
        until(lambda: asker.figures().malformed == 1)


def test_take_may_ask_the_next_question(broker: Broker) -> None:
    with scripted(broker.port), asking(broker.url) as asker:
        second = Taken()

        def again(_outcome: object) -> None:
            question, payload = asked(5)
            asker.ask(question, payload, second)

        question, payload = asked(5)
        asker.ask(question, payload, again)
        assert isinstance(second.outcome(), Reply)


ASKING_THREADS, EACH = 6, 60


def asked_by_many(asker: Asker, after_each: Callable[[int], None] = lambda count: None) -> list[Outcome]:
    """What came of questions of many threads, each of which asks its next as soon as it has had its answer."""
    taken: list[Taken] = []

    def ask_on() -> None:
        for _ in range(EACH):
            until(lambda: asker.standing(MODEL.name).connected)
            _, mine = ask(asker, within_s=5)
            taken.append(mine)
            mine.outcome(6)
            after_each(len(taken))

    with ThreadPoolExecutor(ASKING_THREADS) as threads:
        for done in [threads.submit(ask_on) for _ in range(ASKING_THREADS)]:
            done.result(60)
    until(lambda: asker.figures().open == 0)
    assert [len(each.outcomes) for each in taken] == [1] * ASKING_THREADS * EACH
    return [each.outcomes[0] for each in taken]


def test_an_acknowledgement_finds_its_question_however_soon_it_comes() -> None:
    """One that came before the number of its message was known, and was forgotten, would cost the whole deadline."""
    with ScriptedBroker() as broker, asking(broker.url) as asker:
        broker.puback = lambda topic: NO_MATCHING_SUBSCRIBERS
        began_s = time.monotonic()
        outcomes = asked_by_many(asker)
        assert {str(each) for each in outcomes} == {"failed: no model service takes questions for this model"}
        assert time.monotonic() - began_s < 5


def test_room_that_the_broker_has_made_is_seen_by_whoever_asks_next() -> None:
    went_out: list[Taken] = []
    done = threading.Event()

    def another() -> bool:
        _, taken = ask(asker, within_s=30)
        if not taken.outcomes:
            went_out.append(taken)
        return len(went_out) == 5

    def keep_the_thread(_outcome: Outcome) -> None:
        """The thread `asker`, which looks at no acknowledgement meanwhile."""
        broker.puback = lambda topic: 0
        until(another)
        done.set()

    with ScriptedBroker() as broker, asking(broker.url, window=2) as asker:
        broker.puback = lambda topic: NO_MATCHING_SUBSCRIBERS
        asker.ask(*asked(30), keep_the_thread)
        assert done.wait(10)


@pytest.mark.system
def test_many_threads_that_ask_while_the_connection_drops_get_one_outcome_each(broker: Broker) -> None:
    with FaultyProxy(broker.port) as proxy, scripted(broker.port), asking(proxy.url) as asker:
        drops = list(range(50, ASKING_THREADS * EACH - 50, 50))
        one_at_a_time = threading.Lock()

        def drop(count: int) -> None:
            with one_at_a_time:
                if drops and count >= drops[0]:
                    drops.pop(0)
                    proxy.reset()

        outcomes = asked_by_many(asker, drop)
        assert asker.figures().connects > 3
    assert any(isinstance(each, Reply) for each in outcomes)
    assert {each.code for each in outcomes if isinstance(each, Refused)} <= {"failed", "expired"}
