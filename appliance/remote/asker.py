"""The asker: questions to the model services over a connection of its own, and an outcome for each in time.

It has its own connection, so that a large question never stands in front of an event of the outbox. It keeps nothing
for later: what cannot be sent at once is refused at once, because a late answer is worth less than the next sample.

Handing something to a thread that sleeps costs 0.2 ms or more, so a question goes out on the thread of whoever asks,
and its answer is read on the thread that it comes in on. The thread `asker` keeps the connection and the deadlines.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
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
from appliance.remote.answers import mismatch, read_answer
from appliance.remote.asker_figures import AskerFigures
from appliance.remote.open_questions import Ended, OpenQuestions, Outcome, Take
from appliance.remote.services import Services, Standing
from appliance.thread_priority import be_punctual
from appliance.traces.identity import HEADER

logger = logging.getLogger(__name__)

IDLE_S = 0.25
LARGEST_ANSWER_BYTES = 4_000_000
"""Room for the output tensors of a detector; predictions are a few kilobytes."""
LARGEST_ANSWER_HEADER_BYTES = 1_000_000
"""Predictions travel there: the outlines of some hundred objects."""
INCOMING = 512
GOODBYE_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class _Sorting:
    """What comes, on paho's thread: answers are heard there, announcements wait for the thread `asker`."""

    answer_topic: str
    hear_answer: Callable[[Incoming], None]
    announcements: Mailbox[Incoming]

    def put(self, item: Incoming) -> None:
        if item.topic == self.answer_topic:
            self.hear_answer(item)
        else:
            self.announcements.put(item)


class Asker:
    """`ask`, `standing` and `figures` are for any thread; `run` is the body of the thread `asker`.

    One lock guards what is open, on its way and counted; it is held around `publish`, and no `take` is called under it.
    """

    def __init__(self, link: LinkSettings, topics: Topics, largest_answer_bytes: int = LARGEST_ANSWER_BYTES) -> None:
        """`link`: how to reach the broker, with a client id that nobody else has."""
        self._ready = threading.Condition()
        self._lock = threading.Lock()
        self._topics = topics
        self._woken = self._ended = False
        self._announcements: Mailbox[Incoming] = Mailbox(INCOMING, self._ready)
        inbox = _Sorting(topics.answer, self._hear_answer, self._announcements)
        greeting = Greeting("", b"", (topics.answer, EVERY_SERVICE))
        self._limits = Limits(body_bytes=largest_answer_bytes, header_bytes=LARGEST_ANSWER_HEADER_BYTES)
        settings = replace(link, largest_incoming_bytes=largest_answer_bytes, punctual=True)
        self._link = Link(settings, greeting, inbox, self._ready)
        self._open = OpenQuestions()
        self._services = Services()
        self._flights: dict[int, str] = {}
        """Number of a message that the broker has not acknowledged: the question in it."""
        self._looks_ns = 0
        """When the thread looks at the deadlines next."""
        self._sent = self._sent_bytes = self._malformed = 0
        self._reasons: dict[str, int] = {}
        self._figures = AskerFigures()
        self._figures_due_s = 0.0

    # -- any thread -----------------------------------------------------------------------------------------------

    def ask(self, question: Question, payload: codec.Payload, take: Callable[[Outcome], None]) -> None:
        """Send a question; never blocks.

        `take` is called exactly once: with the reply or the refusal that comes, on the thread of the connection; with
        why there is none, at the deadline at the latest, mostly on the thread `asker`; and here, before this returns,
        when the question cannot be sent. It must be quick, for no other answer is read meanwhile, and must not raise.
        It may ask again.
        """
        now_ns = time.monotonic_ns()
        left_ms = (question.deadline_ns - now_ns) / 1e6
        topic = question_topic(question.model, self._topics.device)
        properties = self._properties(question, payload, left_ms)
        size = packet_bytes(topic, payload.body, properties)
        with self._lock:
            ended = self._hear_link(now_ns / 1e9) if self._crowded else []
            refusal = self._why_not(size, left_ms)
            if refusal is None:
                try:
                    mid = self._link.publish(topic, payload.body, qos=1, properties=properties)
                except (ConnectionGone, Unsendable) as error:
                    refusal = Refused("failed", str(error))
                else:
                    self._went_out(mid, question, take, size, now_ns)
            if refusal is not None:
                self._count(refusal)
            too_early = question.deadline_ns < self._looks_ns
        _tell(ended)
        if refusal is not None:
            take(refusal)
        elif too_early:
            self.wake()

    def _went_out(self, mid: int, question: Question, take: Take, size: int, now_ns: int) -> None:
        self._flights[mid] = question.id
        self._open.add(question, take, now_ns)
        self._sent += 1
        self._sent_bytes += size

    @property
    def _crowded(self) -> bool:
        """Whether there seems to be no room: acknowledgements may have come that the thread has not looked at."""
        return self._link.up is not None and len(self._flights) >= self._link.up.window

    def _why_not(self, size: int, left_ms: float) -> Refused | None:
        up = self._link.up
        if self._ended:
            return Refused("draining", "the appliance is stopping")
        if left_ms <= 0:
            return Refused("expired", "its time was over before it was sent")
        if up is None:
            return Refused("failed", f"no connection to the broker: {self._link.words}")
        if self._crowded:
            return Refused("busy", "the broker is slower than the questions come")
        if size > up.largest_bytes:
            return Refused("too-large", f"the broker takes {up.largest_bytes} bytes, the question has {size}")
        return None

    def _properties(self, question: Question, payload: codec.Payload, left_ms: float) -> Properties:
        user = payload.user(left_ms)
        return Written(
            expires_s=max(1, math.ceil(left_ms / 1000)),
            response_topic=self._topics.answer,
            correlation=question.id.encode("ascii"),
            user=user if question.trace is None else [*user, (HEADER, question.trace)],
        )

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
        with self._lock:
            self._ended = True
            ended = self._open.refuse_all(Refused("draining", "the appliance is stopping"))
        _tell(ended)
        self._link.finish(within_s=GOODBYE_WITHIN_S)
        self._figures = self._picture()

    def _wait(self) -> None:
        """Until something came, or the next deadline."""
        with self._lock:
            now_ns = time.monotonic_ns()
            deadline_ns = self._open.next_deadline_ns()
            idle_ns = now_ns + int(IDLE_S * 1e9)
            self._looks_ns = idle_ns if deadline_ns is None else min(idle_ns, deadline_ns)
            patience_s = max(0.0, (self._looks_ns - now_ns) / 1e9)
        with self._ready:
            self._ready.wait_for(self._anything_new, patience_s)
            self._woken = False

    def _anything_new(self) -> bool:
        return self._woken or len(self._announcements) > 0 or self._link.has_events

    def _turn(self, now_s: float) -> None:
        self._link.tend(now_s)
        with self._lock:
            ended = self._hear_link(now_s)
            ended += self._open.expire(time.monotonic_ns())
        _tell(ended)
        for incoming in self._announcements.take_all(timeout_s=0):  # on `model-service/<id>/available`
            self._services.hear(incoming.topic.split("/")[1], incoming.payload)
        if now_s >= self._figures_due_s:
            self._figures_due_s = now_s + IDLE_S
            self._figures = self._picture()

    # What the broker says; under the lock.

    def _hear_link(self, now_s: float) -> list[Ended]:
        return [each for event in self._link.events(now_s) for each in self._hear_event(event)]

    def _hear_event(self, event: LinkEvent) -> list[Ended]:
        self._figures_due_s = 0.0 if isinstance(event, (Up, Down)) else self._figures_due_s
        if isinstance(event, Up):
            self._services.forget()  # those that are there are told again
        elif isinstance(event, Acknowledged):
            return self._acknowledged(event)
        elif isinstance(event, Down):
            # What the broker has may still be answered when we are back; what it may not have will not be.
            lost, self._flights = self._flights, {}
            refusal = Refused("failed", f"the question was lost: {event.words}")
            return [each for question_id in lost.values() for each in self._refuse(question_id, refusal)]
        return []

    def _acknowledged(self, event: Acknowledged) -> list[Ended]:
        question_id = self._flights.pop(event.mid, None)
        outcome = verdict(event.code)
        if question_id is None or outcome is Verdict.DONE:
            return []
        words = (
            "no model service takes questions for this model"
            if outcome is Verdict.NOBODY_LISTENS
            else (f"the broker did not take the question: {puback_words(event.code)}")
        )
        return self._refuse(question_id, Refused("failed", words))

    def _refuse(self, question_id: str, refusal: Refused) -> list[Ended]:
        ended = self._open.refuse(question_id, refusal)
        if ended is None:
            return []
        self._count(refusal)
        return [ended]

    # -- the thread of the connection -----------------------------------------------------------------------------

    def _hear_answer(self, incoming: Incoming) -> None:
        """Only what reads as an answer to what was asked ends a question: nonsense must not take the place of it."""
        try:
            question_id, outcome = read_answer(incoming, self._limits)
        except BadTensor as error:
            logger.debug("an answer cannot be read: %s", error)
            self._count_malformed()
            return
        with self._lock:
            question = self._open.asked(question_id)
        if question is not None and (wrong := mismatch(question, outcome)):
            logger.warning("an answer of %s does not fit its question: %s", question.model, wrong)
            self._count_malformed()
            return
        with self._lock:
            ended = self._open.answer(question_id, outcome, time.monotonic_ns())
            if ended is not None and isinstance(outcome, Refused):
                self._count(outcome)
        if ended is not None:
            ended.tell()

    def _count_malformed(self) -> None:
        with self._lock:
            self._malformed += 1

    # -- figures --------------------------------------------------------------------------------------------------

    def _count(self, refusal: Refused) -> None:
        """Under the lock."""
        self._reasons[refusal.code] = self._reasons.get(refusal.code, 0) + 1

    def _picture(self) -> AskerFigures:
        with self._lock:
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


def _tell(ended: Iterable[Ended]) -> None:
    for each in ended:
        each.tell()
