"""A thousand questions through every trouble of the link: one outcome each, in time, and never an answer too late."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import paho.mqtt.client as mqtt
import pytest
from ulid import ULID

from appliance import long_lived
from appliance.questions.question import Refused, Reply
from appliance.remote.asker import Asker
from tests.conftest import Broker
from tests.model_services import (
    TOPICS,
    Scripted,
    Taken,
    asked,
    asking,
    at_once,
    question_id,
    reply,
    scripted,
    settled,
)
from tests.secured_broker import SecuredBroker
from tests.tcp_faults import FaultyProxy
from tests.waiting import until

pytestmark = pytest.mark.faults

QUESTIONS = 1000
LATE_MS = 10.0
"""An outcome may come so long after the deadline."""


NEARBY_NS = 100_000_000


class Metronome:
    """A thread that does nothing but wait, to tell what this machine makes of any deadline."""

    def __init__(self) -> None:
        self.stalls: list[tuple[int, int]] = []
        """When a wait of 2 ms began to take longer, and when it was over; monotonic ns."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metronome")

    def _run(self) -> None:
        due_ns = time.monotonic_ns() + 2_000_000
        while not self._stopping.wait(max(0.0, (due_ns - time.monotonic_ns()) / 1e9)):
            now_ns = time.monotonic_ns()
            if now_ns - due_ns > 1_000_000:
                self.stalls.append((due_ns, now_ns))
            due_ns = now_ns + 2_000_000

    def stalled_ms(self, since_ns: int, until_ns: int) -> float:
        """How long a thread that only waits was kept waiting around this stretch of time."""
        first, last = since_ns - NEARBY_NS, until_ns + NEARBY_NS
        overlaps = (min(end, last) - max(start, first) for start, end in self.stalls)
        return sum(each for each in overlaps if each > 0) / 1e6

    def __enter__(self) -> Metronome:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()


@dataclass
class Flood:
    """Questions asked at a steady pace, and what came of them."""

    deadlines_ns: list[int]
    taken: list[Taken]
    metronome: Metronome

    def end(self) -> None:
        """Every question has exactly one outcome, none later than its deadline and LATE_MS.

        What the machine keeps even a thread from that only waits does not count: other tests share its processors.
        """
        assert {len(each.outcomes) for each in self.taken} == {1}
        late_ms = [
            (taken.at_ns[0] - deadline_ns) / 1e6 - self.metronome.stalled_ms(deadline_ns, taken.at_ns[0])
            for taken, deadline_ns in zip(self.taken, self.deadlines_ns, strict=True)
        ]
        count = sum(ms > LATE_MS for ms in late_ms)
        assert not count, f"{count} came late, the worst by {max(late_ms):.1f} ms"

    @property
    def outcomes(self) -> Counter[str]:
        """How many were answered, and the codes of the others."""
        return Counter("answered" if isinstance(o, Reply) else o.code for each in self.taken for o in each.outcomes)


def flood(
    asker: Asker,
    within_s: float,
    each: Callable[[int], None] = lambda number: None,
    count: int = QUESTIONS,
    lead: int | None = None,
) -> Flood:
    """Ask `count` questions, one every 3 ms; `each` is called in front of every one.

    `lead`: wait for an outcome while so many are open, so that a machine with other work is not asked too fast.
    """
    long_lived.settle()
    pause = threading.Event()
    with Metronome() as metronome:
        result = Flood([], [], metronome)
        for number in range(count):
            each(number)
            if lead is not None and number >= lead:
                assert result.taken[number - lead].outcome()
            question, payload = asked(within_s)
            taken = Taken()
            result.deadlines_ns.append(question.deadline_ns)
            result.taken.append(taken)
            asker.ask(question, payload, taken)
            pause.wait(0.003)
        until(lambda: all(taken.outcomes for taken in result.taken), within_s + 10, "an outcome for every question")
    return result


def nothing(_service: Scripted, _message: mqtt.MQTTMessage) -> None:
    """Hears every question and says nothing."""


def test_with_a_healthy_link_all_are_answered(broker: Broker) -> None:
    with scripted(broker.port), asking(broker.url) as asker:
        done = flood(asker, within_s=5.0, lead=10)
        done.end()
        assert done.outcomes == {"answered": QUESTIONS}
        figures = settled(asker)
    assert (figures.answered, figures.late, figures.expired, figures.open) == (QUESTIONS, 0, 0, 0)


def test_with_the_broker_dead_all_are_refused_at_once(broker: Broker) -> None:
    with asking(broker.url) as asker:
        broker.kill()
        until(lambda: not asker.figures().connected)
        done = flood(asker, within_s=30.0)
        done.end()
        assert done.outcomes == {"failed": QUESTIONS}
        taken_ms = [(each.at_ns[0] - ns) / 1e6 + 30_000 for each, ns in zip(done.taken, done.deadlines_ns, strict=True)]
        assert max(taken_ms) < 500


def test_with_the_broker_frozen_all_end_by_their_deadline(broker: Broker) -> None:
    with scripted(broker.port), asking(broker.url) as asker:
        assert broker._process is not None
        os.kill(broker._process.pid, signal.SIGSTOP)
        try:
            done = flood(asker, within_s=0.2)
            done.end()
        finally:
            os.kill(broker._process.pid, signal.SIGCONT)
        assert done.outcomes.keys() <= {"expired", "busy", "failed"}
        assert done.outcomes["expired"] > 0


def test_with_the_service_dead_all_end_by_their_deadline(broker: Broker) -> None:
    """Dead while the broker still has its subscription: nobody says that it is gone."""
    with scripted(broker.port, nothing), asking(broker.url) as asker:
        done = flood(asker, within_s=0.15)
        done.end()
        assert done.outcomes == {"expired": QUESTIONS}


def test_with_no_service_all_are_refused_at_once(broker: Broker) -> None:
    with asking(broker.url) as asker:
        done = flood(asker, within_s=30.0)
        done.end()
        assert done.outcomes == {"failed": QUESTIONS}


def test_a_service_that_answers_twice_is_heard_once(broker: Broker) -> None:
    def twice(service: Scripted, message: mqtt.MQTTMessage) -> None:
        at_once(service, message)
        at_once(service, message)

    with scripted(broker.port, twice), asking(broker.url) as asker:
        done = flood(asker, within_s=5.0, lead=10)
        done.end()
        assert done.outcomes == {"answered": QUESTIONS}
        until(lambda: asker.figures().repeated == QUESTIONS)
        assert asker.figures().late == 0


def test_late_answers_are_all_counted_and_none_is_delivered(broker: Broker) -> None:
    waiting: list[mqtt.MQTTMessage] = []

    with scripted(broker.port, lambda _, message: waiting.append(message)) as service, asking(broker.url) as asker:
        done = flood(asker, within_s=0.1)
        done.end()
        assert done.outcomes == {"expired": QUESTIONS}
        assert len(waiting) == QUESTIONS
        for message in waiting:
            service.answer(message, reply(question_id(message)))
        until(lambda: asker.figures().late == QUESTIONS, 15)
        assert {len(each.outcomes) for each in done.taken} == {1}
        assert asker.figures().answered == 0


def test_forged_answers_do_not_take_the_place_of_true_ones(broker: Broker) -> None:
    """Before each true answer: one to a question that was never asked, one with another correlation, one of nonsense,
    and one to a question that expired long ago."""

    def among_forgeries(service: Scripted, message: mqtt.MQTTMessage) -> None:
        stranger = str(ULID())
        service.answer(message, reply(stranger), correlation=stranger.encode())
        service.answer(message, reply(question_id(message)), correlation=stranger.encode())
        service.answer(message, reply(question_id(message)), body=random.Random(1).randbytes(200))
        at_once(service, message)

    with scripted(broker.port, among_forgeries), asking(broker.url) as asker:
        done = flood(asker, within_s=5.0, lead=10)
        done.end()
        assert done.outcomes == {"answered": QUESTIONS}
        figures = settled(asker)
    assert figures.malformed + figures.foreign == 3 * QUESTIONS


def test_through_broken_connections_every_question_ends_once(broker: Broker) -> None:
    with FaultyProxy(broker.port) as proxy, scripted(broker.port), asking(proxy.url) as asker:

        def break_it(number: int) -> None:
            if number % 100 == 50:
                proxy.reset()

        done = flood(asker, within_s=0.5, each=break_it)
        done.end()
        assert done.outcomes.keys() <= {"answered", "failed", "expired", "busy"}
        assert done.outcomes["answered"] > 100
        assert done.outcomes["failed"] > 0
        assert settled(asker).connects > 3


def test_through_a_broker_that_is_killed_and_started_again_every_question_ends_once(broker: Broker) -> None:
    def restart(number: int) -> None:
        if number % 400 == 100:
            broker.kill()
        if number % 400 == 250:
            broker.start()

    service = Scripted(broker.port, at_once)
    service.client.reconnect_delay_set(1, 1)
    try:
        with asking(broker.url) as asker:
            done = flood(asker, within_s=0.4, each=restart)
            done.end()
    finally:
        service.close()
    assert done.outcomes.keys() <= {"answered", "failed", "expired", "busy"}
    assert done.outcomes["answered"] >= 100
    assert done.outcomes["failed"] > 100


def test_a_stalled_line_fills_the_window_and_no_memory(broker: Broker) -> None:
    """What cannot leave is refused, not piled up in front of what comes later."""
    with FaultyProxy(broker.port) as proxy, scripted(broker.port), asking(proxy.url) as asker:
        proxy.stalled = True
        done = flood(asker, within_s=0.2, count=500)
        done.end()
        assert done.outcomes["expired"] + done.outcomes["busy"] + done.outcomes["failed"] == 500
        assert settled(asker).sent <= 20 * (1 + asker.figures().connects)
        proxy.stalled = False
        until(lambda: _is_answered(asker), 15, "an answer after the stall")


def _is_answered(asker: Asker) -> bool:
    question, payload = asked(0.5)
    taken = Taken()
    asker.ask(question, payload, taken)
    return isinstance(taken.outcome(), Reply)


def test_over_tls_with_the_certificate_of_the_device(tmp_path: Path) -> None:
    """The same [mqtt] settings as the uplink, a client id of its own, and the rights that `appliance broker` gives."""
    with SecuredBroker(tmp_path) as broker:
        broker.add("device", TOPICS.device)
        broker.restart()
        trusted, certificate, key = (
            broker.of(TOPICS.device) / name for name in ("trusted.crt", "dock-1.crt", "dock-1.key")
        )
        url = f"mqtts://localhost:{broker.port}"
        with asking(url, ca_file=trusted, cert_file=certificate, key_file=key) as asker:
            question, payload = asked(5)
            taken = Taken()
            asker.ask(question, payload, taken)
            refusal = taken.refusal()
        assert (refusal.code, refusal.words) == ("failed", "no model service takes questions for this model")
        with asking(url, await_connection=False, ca_file=trusted) as asker:
            until(lambda: "certificate" in asker.figures().broker)
            assert not asker.figures().connected


def test_a_forged_answer_reaches_nobody_with_the_rights_that_the_broker_gives(tmp_path: Path) -> None:
    """Another device may neither answer in the name of a service nor read the answers of this one."""
    with SecuredBroker(tmp_path) as broker:
        broker.add("device", TOPICS.device, "dock-2")
        broker.add("service", "attic")
        broker.restart()
        with broker.client("dock-2") as other:
            assert not other.may_publish(TOPICS.answer)
            assert not other.may_publish(f"model-service/people/infer/{TOPICS.device}")
            other.subscribe(TOPICS.answer)  # granted: mosquitto holds it against the rights at every message
            with broker.client("attic") as service:
                service.publish(TOPICS.answer, b"for dock-1 alone")
            assert TOPICS.answer not in other.topics()


def test_refusals_are_told_apart_in_the_figures(broker: Broker) -> None:
    codes = ["busy", "draining", "failed", "too-large"]
    turn = iter(range(400))

    def refuse(service: Scripted, message: mqtt.MQTTMessage) -> None:
        service.answer(message, Refused(codes[next(turn) % 4], "because"))  # type: ignore[arg-type]  # of the list

    with scripted(broker.port, refuse), asking(broker.url) as asker:
        done = flood(asker, within_s=5.0, count=400, lead=10)
        done.end()
        assert done.outcomes == dict.fromkeys(codes, 100)
        assert settled(asker).reasons == dict.fromkeys(codes, 100)
