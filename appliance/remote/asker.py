"""The thread `asker`: questions to the model services over a connection of its own, and an outcome for each in time.

It has its own connection, so that a large question never stands in front of an event of the outbox. It keeps nothing
for later: what cannot be sent at once is refused at once, because a late answer is worth less than the next sample.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from paho.mqtt.properties import Properties

from appliance.mailbox import Mailbox
from appliance.mqtt.connection import (
    Acknowledged,
    ConnectionGone,
    Down,
    Greeting,
    LinkEvent,
    Unsendable,
    Up,
    packet_bytes,
)
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.link import Link
from appliance.mqtt.properties import Written
from appliance.mqtt.reasons import Verdict, puback_words, verdict
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import EVERY_SERVICE, Topics
from appliance.mqtt.topics import question as question_topic
from appliance.questions import codec
from appliance.questions.question import Question, Refused
from appliance.questions.tensors import BadTensor, Limits
from appliance.remote.asker_figures import AskerFigures
from appliance.remote.open_questions import OpenQuestions, Outcome, Take
from appliance.remote.services import Services, Standing
from appliance.thread_priority import be_punctual
from appliance.traces.identity import HEADER

logger = logging.getLogger(__name__)

IDLE_S = 0.25
MOST_WAITING = 256
"""Questions handed over and not yet looked at; more than a thread that turns can have before it."""
MOST_WAITING_BYTES = 64_000_000
LARGEST_ANSWER_BYTES = 4_000_000
"""Room for the output tensors of a detector; predictions are a few kilobytes."""
LARGEST_ANSWER_HEADER_BYTES = 1_000_000
"""Predictions travel there: the outlines of some hundred objects."""
INCOMING = 512
GOODBYE_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    question: Question
    payload: codec.Payload | None
    """None: too much was waiting, and it is only told so."""
    take: Take


class Asker:
    """`ask`, `standing` and `figures` are for any thread; `run` is the body of the thread `asker`."""

    def __init__(self, link: LinkSettings, topics: Topics, largest_answer_bytes: int = LARGEST_ANSWER_BYTES) -> None:
        """`link`: how to reach the broker, with a client id that nobody else has."""
        self._ready = threading.Condition()
        self._topics = topics
        self._asked: deque[_Asked] = deque()
        self._waiting_bytes = 0
        self._woken = self._ended = False
        self._inbox: Mailbox[Incoming] = Mailbox(INCOMING, self._ready)
        greeting = Greeting("", b"", (topics.answer, EVERY_SERVICE))
        self._limits = Limits(body_bytes=largest_answer_bytes, header_bytes=LARGEST_ANSWER_HEADER_BYTES)
        settings = replace(link, largest_incoming_bytes=largest_answer_bytes, punctual=True)
        self._link = Link(settings, greeting, self._inbox, self._ready)
        self._open = OpenQuestions()
        self._services = Services()
        self._flights: dict[int, str] = {}
        """Number of a message that the broker has not acknowledged: the question in it."""
        self._sent = self._sent_bytes = self._malformed = 0
        self._reasons: dict[str, int] = {}
        self._figures = AskerFigures()
        self._figures_due_s = 0.0

    # -- any thread -----------------------------------------------------------------------------------------------

    def ask(self, question: Question, payload: codec.Payload, take: Callable[[Outcome], None]) -> None:
        """Send a question; never blocks.

        `take` is called exactly once, on the asker's thread, at the deadline at the latest: with the reply, or with
        why there is none. It must be quick, and must not raise. After `run` has ended it is called at once, here.
        """
        with self._ready:
            ended = self._ended
            if not ended:
                fits = len(self._asked) < MOST_WAITING and self._waiting_bytes < MOST_WAITING_BYTES
                self._asked.append(_Asked(question, payload if fits else None, take))
                self._waiting_bytes += len(payload.body) if fits else 0
                self._ready.notify_all()
        if ended:
            take(Refused("draining", "the appliance is stopping"))

    def standing(self, model: str, version: str | None = None) -> Standing:
        """Whether this model, in this version, can be asked for now, and of whom."""
        for topic in (self._topics.answer, EVERY_SERVICE):
            if (words := self._link.deaf.get(topic)) is not None:
                return Standing(False, f"{topic}: {words}")
        return self._services.standing(model, version, self._link.up is not None, self._link.words)

    def figures(self) -> AskerFigures:
        """The newest picture, some tenths of a second old."""
        return self._figures

    # -- the thread -----------------------------------------------------------------------------------------------

    def run(self, stopping: threading.Event) -> None:
        """Until `stopping` is set; then what is open is refused, and the broker hears goodbye."""
        be_punctual()
        try:
            while not stopping.is_set():
                self._turn(time.monotonic())
                self._wait()
        finally:
            self._end()

    def wake(self) -> None:
        """Make a waiting `run` look at `stopping`."""
        with self._ready:
            self._woken = True
            self._ready.notify_all()

    def _end(self) -> None:
        with self._ready:
            self._ended = True
            asked, self._asked = self._asked, deque()
        refusal = Refused("draining", "the appliance is stopping")
        for each in asked:
            each.take(refusal)
        self._open.refuse_all(refusal)
        self._link.finish(within_s=GOODBYE_WITHIN_S)
        self._figures = self._picture()

    def _wait(self) -> None:
        """Until something came, or the next deadline."""
        deadline_ns = self._open.next_deadline_ns()
        patience_s = IDLE_S
        if deadline_ns is not None:
            patience_s = min(patience_s, max(0.0, (deadline_ns - time.monotonic_ns()) / 1e9))
        with self._ready:
            self._ready.wait_for(self._anything_new, patience_s)
            self._woken = False

    def _anything_new(self) -> bool:
        return self._woken or len(self._asked) > 0 or len(self._inbox) > 0 or self._link.has_events

    def _turn(self, now_s: float) -> None:
        self._link.tend(now_s)
        for event in self._link.events(now_s):
            self._hear_event(event)
        for incoming in self._inbox.take_all(timeout_s=0):
            self._hear(incoming)
        self._open.expire(time.monotonic_ns())
        self._send_asked()
        if now_s >= self._figures_due_s:
            self._figures_due_s = now_s + IDLE_S
            self._figures = self._picture()

    # What the broker says.

    def _hear_event(self, event: LinkEvent) -> None:
        self._figures_due_s = 0.0 if isinstance(event, (Up, Down)) else self._figures_due_s
        if isinstance(event, Up):
            self._services.forget()  # those that are there are told again
        elif isinstance(event, Acknowledged):
            self._acknowledged(event)
        elif isinstance(event, Down):
            # What the broker has may still be answered when we are back; what it may not have will not be.
            for question_id in self._flights.values():
                self._refuse(question_id, Refused("failed", f"the question was lost: {event.words}"))
            self._flights.clear()

    def _acknowledged(self, event: Acknowledged) -> None:
        question_id = self._flights.pop(event.mid, None)
        outcome = verdict(event.code)
        if question_id is None or outcome is Verdict.DONE:
            return
        words = (
            "no model service takes questions for this model"
            if outcome is Verdict.NOBODY_LISTENS
            else (f"the broker did not take the question: {puback_words(event.code)}")
        )
        self._refuse(question_id, Refused("failed", words))

    def _hear(self, incoming: Incoming) -> None:
        if incoming.topic == self._topics.answer:
            self._hear_answer(incoming)
        else:  # the other subscription: `model-service/<id>/available`
            self._services.hear(incoming.topic.split("/")[1], incoming.payload)

    def _hear_answer(self, incoming: Incoming) -> None:
        """Only what reads as an answer to what was asked ends a question: nonsense must not take the place of it."""
        if incoming.retain:
            self._malformed += 1
            return
        try:
            header = codec.header_bytes(incoming.user)
            question_id, outcome = codec.decode_answer(incoming.payload, header, self._limits)
        except BadTensor as error:
            logger.debug("an answer cannot be read: %s", error)
            self._malformed += 1
            return
        if incoming.correlation != question_id.encode():
            self._malformed += 1
            return
        question = self._open.asked(question_id)
        if question is not None and (wrong := _mismatch(question, outcome)):
            logger.warning("an answer of %s does not fit its question: %s", question.model, wrong)
            self._malformed += 1
            return
        if question is not None and isinstance(outcome, Refused):
            self._count(outcome)
        self._open.answer(question_id, outcome, time.monotonic_ns())

    # What other threads ask.

    def _send_asked(self) -> None:
        with self._ready:
            asked, self._asked, self._waiting_bytes = self._asked, deque(), 0
        for each in asked:
            refusal = self._send(each)
            if refusal is not None:
                self._count(refusal)
                each.take(refusal)

    def _send(self, asked: _Asked) -> Refused | None:
        """Give it to the broker; why not, otherwise."""
        question, payload, up = asked.question, asked.payload, self._link.up
        now_ns = time.monotonic_ns()
        left_ms = (question.deadline_ns - now_ns) / 1e6
        if left_ms <= 0:
            return Refused("expired", "its time was over before it was sent")
        if up is None:
            return Refused("failed", f"no connection to the broker: {self._link.words}")
        if payload is None or len(self._flights) >= up.window:
            return Refused("busy", "the broker is slower than the questions come")
        topic = question_topic(question.model, self._topics.device)
        properties = self._properties(question, payload, left_ms)
        size = packet_bytes(topic, payload.body, properties)
        if size > up.largest_bytes:
            return Refused("too-large", f"the broker takes {up.largest_bytes} bytes, the question has {size}")
        try:
            mid = self._link.publish(topic, payload.body, qos=1, properties=properties)
        except (ConnectionGone, Unsendable) as error:
            return Refused("failed", str(error))
        self._flights[mid] = question.id
        self._open.add(question, asked.take, now_ns)
        self._sent += 1
        self._sent_bytes += size
        return None

    def _properties(self, question: Question, payload: codec.Payload, left_ms: float) -> Properties:
        user = payload.user(left_ms)
        return Written(
            expires_s=max(1, math.ceil(left_ms / 1000)),
            response_topic=self._topics.answer,
            correlation=question.id.encode("ascii"),
            user=user if question.trace is None else [*user, (HEADER, question.trace)],
        )

    # Figures.

    def _refuse(self, question_id: str, refusal: Refused) -> None:
        if question_id in self._open:
            self._count(refusal)
            self._open.refuse(question_id, refusal)

    def _count(self, refusal: Refused) -> None:
        self._reasons[refusal.code] = self._reasons.get(refusal.code, 0) + 1

    def _picture(self) -> AskerFigures:
        ended, strays = self._open.ended, self._open.strays
        return AskerFigures(
            connected=self._link.up is not None,
            broker=self._link.words,
            open=len(self._open),
            sent=self._sent,
            sent_bytes=self._sent_bytes,
            answered=ended["answered"],
            refused=sum(self._reasons.values()),
            expired=ended["expired"],
            late=strays["late"],
            repeated=strays["repeated"],
            foreign=strays["foreign"],
            malformed=self._malformed + self._services.malformed,
            reasons=dict(self._reasons),
            round_trips=self._open.round_trips(),
            connects=self._link.connects,
        )


def _mismatch(question: Question, outcome: Outcome) -> str | None:
    """Why this cannot be the answer to that."""
    if isinstance(outcome, Refused):
        return None
    if question.version not in (None, outcome.model.version):
        return f"it comes from {outcome.model.name} {outcome.model.version}"
    if (outcome.answer is not None) != question.decode:
        return "it has tensors for predictions, or predictions for tensors"
    return None
