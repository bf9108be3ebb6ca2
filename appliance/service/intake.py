"""The thread `intake`: owns the connection to the broker, sends the answers, says how the service is."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from paho.mqtt.properties import Properties

from appliance.mqtt.connection import (
    Acknowledged,
    ConnectionGone,
    Down,
    Greeting,
    LinkEvent,
    Quiet,
    Unsendable,
    Up,
    packet_bytes,
)
from appliance.mqtt.incoming import Inbox
from appliance.mqtt.link import Link
from appliance.mqtt.properties import Written
from appliance.mqtt.reasons import puback_words
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import questions, service_available
from appliance.questions import codec
from appliance.questions.announcement import Announcement, announcement_to_json
from appliance.questions.question import Refused
from appliance.questions.tensors import BadTensor
from appliance.service.outgoing import Answer, Outgoing
from appliance.thread_name import name_thread
from appliance.thread_priority import be_punctual

logger = logging.getLogger(__name__)

TICK_S = 0.1
ATTEND_WITHIN_S = 0.5
"""However many answers there are to send, the service says this late how it is."""
ANNOUNCE_EVERY_S = 2.0
"""When something has changed."""
QUIET_WITHIN_S = 1.0
"""A broker confirms that it sends no more."""
REFUSALS_AT_ONCE = 64
SHORT_S, SHORT_IN_A_ROW = 10.0, 3
"""So many connections in a row that ended so soon look like two services with one id, which throw each other out."""
REFUSED_FROM = 0x80
"""Reason codes of MQTT 5 that mean no."""
HEADROOM_BYTES = 64 << 10
"""For topic and properties of the longest message."""


@dataclass(frozen=True, slots=True)
class IntakeFigures:
    """Since the service was started."""

    connected: bool = False
    broker: str = "not connected yet"
    connects: int = 0
    answered: int = 0
    refused: int = 0
    late: int = 0
    """Answers that were ready after their deadline, or while the broker was away: not sent."""
    too_large: int = 0
    """Answers longer than the broker takes: refused instead."""
    rejected: int = 0
    """Answers and announcements that the broker did not take; its rights may not allow them."""


def link_for_service(link: LinkSettings, largest_bytes: int) -> LinkSettings:
    """This link as a service needs it: nothing may wait for a service that is gone (docs/decisions/0008)."""
    return replace(
        link,
        will_delay_s=0,
        keepalive_s=5,
        receive_most=256,
        largest_incoming_bytes=largest_bytes + HEADROOM_BYTES,
    )


class Intake:
    """`run` is the body of the thread; `drain`, `figures` and `wake` are for any thread."""

    def __init__(
        self,
        link: LinkSettings,
        inbox: Inbox,
        outgoing: Outgoing,
        ready: threading.Condition,
        announce: Callable[[], Announcement],
    ) -> None:
        """`inbox`: gets the questions, on paho's thread. `ready`: the condition of `outgoing`. `announce`: how the
        service is now; its models that are ready are subscribed to."""
        self.quiet = threading.Event()
        """Set when no more questions come, after `drain`."""
        self._outgoing = outgoing
        self._ready = ready
        self._announce = announce
        self._service = announce().service
        self._topic = service_available(self._service)
        offline = announcement_to_json(Announcement(self._service, "offline"))
        self._link = Link(link, Greeting(self._topic, offline), inbox, ready)
        self._offline = offline
        self._up: Up | None = None
        self._up_s = 0.0
        self._short = 0
        self._flights: dict[int, str] = {}
        """Messages at QoS 1 that the broker has not acknowledged, and their topics."""
        self._subscribed: set[str] = set()
        self._told: bytes = b""
        self._told_s = self._attend_s = -math.inf
        self._draining = False
        self._quiet_at_s = math.inf
        self._rejection = ""
        """Why the broker last did not take a message."""
        self._answered = self._refused = self._late = self._too_large = self._rejected = 0

    # -- any thread -----------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take no more questions; `quiet` follows."""
        self._draining = True
        self.wake()

    def wake(self) -> None:
        with self._ready:
            self._ready.notify_all()

    def figures(self) -> IntakeFigures:
        return IntakeFigures(
            connected=self._link.up is not None,
            broker=self._link.words,
            connects=self._link.connects,
            answered=self._answered,
            refused=self._refused,
            late=self._late,
            too_large=self._too_large,
            rejected=self._rejected,
        )

    @property
    def settled(self) -> bool:
        """Everything that was to be said is with the broker; or there is none to say it to."""
        return self._up is None or (not len(self._outgoing) and not self._flights)

    # -- its thread -----------------------------------------------------------------------------------------------

    def run(self, stopping: threading.Event) -> None:
        """Body of the thread: until `stopping`; then it says goodbye."""
        name_thread("intake")
        be_punctual()
        while not stopping.is_set():
            self._turn()
            with self._ready:
                self._ready.wait_for(lambda: self._has_work(stopping), TICK_S)
        self._turn()
        if self._up is not None:
            self._publish(self._topic, self._offline, qos=1, retain=True)
        self._link.finish(within_s=1.0)

    def _has_work(self, stopping: threading.Event) -> bool:
        return (
            stopping.is_set()
            or self._link.has_events
            or (self._can_send and bool(len(self._outgoing)))
            or (self._draining and not self.quiet.is_set() and self._quiet_at_s == math.inf)
        )

    @property
    def _can_send(self) -> bool:
        return self._up is not None and len(self._flights) < self._up.window

    def _turn(self) -> None:
        now_s = time.monotonic()
        self._link.tend(now_s)
        for event in self._link.events(now_s):
            self._note(event)
        if self._up is None:
            self._discard_late()
        elif not self._send() or now_s > self._attend_s + ATTEND_WITHIN_S:
            self._attend(now_s)
        if self._draining and (self._up is None or now_s > self._quiet_at_s):
            self.quiet.set()

    def _note(self, event: LinkEvent) -> None:
        if isinstance(event, Up):
            self._up = event
            self._up_s = time.monotonic()
            self._told = b""
            self._told_s = self._attend_s = -math.inf
        elif isinstance(event, Down):
            self._suspect_a_twin()
            self._up = None
            self._flights.clear()
            self._subscribed.clear()
        elif isinstance(event, Acknowledged):
            self._note_acknowledged(event)
        elif isinstance(event, Quiet) and self._draining:
            self.quiet.set()

    def _note_acknowledged(self, event: Acknowledged) -> None:
        topic = self._flights.pop(event.mid, "")
        if event.code >= REFUSED_FROM:
            self._rejected += 1
            words = puback_words(event.code)
            if words != self._rejection:
                logger.error("%s: %s", topic, words)
            self._rejection = words

    def _suspect_a_twin(self) -> None:
        """A broker that keeps no session for us does not say that it was a client of our name who came."""
        if self._up is not None:
            self._short = self._short + 1 if time.monotonic() < self._up_s + SHORT_S else 0
        if self._short == SHORT_IN_A_ROW:
            logger.error(
                'is another service called "%s"? The broker lets in one at a time: give each an id', self._service
            )

    def _attend(self, now_s: float) -> None:
        """Now and then, for it takes as long as an answer, and rather not while paho writes one: listen for the models
        that are ready, then say so; say what is gone, then listen no more. The broker takes these in order, so whoever
        asks as announced is heard."""
        if now_s < self._attend_s and (not self._draining or self._quiet_at_s < math.inf):
            return
        self._attend_s = now_s + TICK_S
        announcement = self._announce()
        if self._draining:
            announcement = replace(announcement, state="draining")
        wanted = (
            set()
            if self._draining
            else {questions(announcement.group, model.name) for model in announcement.models if model.ready}
        )
        if more := sorted(wanted - self._subscribed):
            self._link.subscribe(more)
        if now_s >= self._told_s + ANNOUNCE_EVERY_S or wanted != self._subscribed:
            self._tell(announcement_to_json(announcement), now_s)
        if less := sorted(self._subscribed - wanted):
            self._link.unsubscribe(less)
        if self._draining and self._quiet_at_s == math.inf:
            self._quiet_at_s = now_s + QUIET_WITHIN_S if less else now_s
        self._subscribed = wanted

    def _tell(self, document: bytes, now_s: float) -> None:
        if document != self._told:
            self._publish(self._topic, document, qos=1, retain=True)
            self._told = document
        self._told_s = now_s

    def _send(self) -> bool:
        """Whether there was anything to send."""
        sent = False
        for answer in self._outgoing.refusals(REFUSALS_AT_ONCE):
            self._refused += 1
            self._answer(answer, qos=0)
            sent = True
        while self._can_send and (reply := self._outgoing.reply()) is not None:
            if time.monotonic_ns() > reply.deadline_ns:
                self._late += 1
                continue
            self._answered += 1
            self._answer(reply, qos=1)
            sent = True
        return sent

    def _discard_late(self) -> None:
        """Without a broker nothing is kept: whoever asked has given up by the time there is one again."""
        self._outgoing.refusals(len(self._outgoing))
        while self._outgoing.reply() is not None:
            self._late += 1

    def _answer(self, answer: Answer, qos: int) -> None:
        """A refusal goes out at QoS 0: a flood of them must not hold up the answers of others."""
        sender = answer.sender
        try:
            payload = codec.encode_answer(answer.said, sender.question, self._service)
        except BadTensor as error:
            self._refuse_instead(answer, Refused("failed", f"the answer cannot travel: {error}"))
            return
        left_s = (answer.deadline_ns - time.monotonic_ns()) / 1e9
        properties = Written(
            expires_s=max(1, math.ceil(left_s)), correlation=sender.question.encode(), user=payload.user()
        )
        assert self._up is not None
        largest = self._up.largest_bytes
        if len(payload.body) + HEADROOM_BYTES > largest and largest < packet_bytes(
            sender.response_topic, payload.body, properties
        ):
            self._too_large += 1
            self._refuse_instead(answer, Refused("too-large", "the answer is longer than the broker takes"))
            return
        self._publish(sender.response_topic, payload.body, qos=qos, properties=properties)

    def _refuse_instead(self, answer: Answer, refused: Refused) -> None:
        self._answer(replace(answer, said=refused), qos=0)

    def _publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool = False, properties: Properties | None = None
    ) -> None:
        try:
            mid = self._link.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        except ConnectionGone:
            return  # its `Down` follows, and the answers are late
        except Unsendable as error:
            logger.error("%s: %s", topic, error)
            return
        if qos:
            self._flights[mid] = topic
