"""A model service that a test scripts, over a plain client, and an asker at work in its thread."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, TypeAlias

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from ulid import ULID

from appliance.mqtt import topics
from appliance.mqtt.connection import properties_of
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics, questions, service_available
from appliance.questions import codec
from appliance.questions.announcement import Announcement, ServedModel, announcement_to_json, served
from appliance.questions.question import Question, Refused, Reply
from appliance.remote.asker import Asker
from appliance.remote.asker_figures import AskerFigures
from appliance.remote.open_questions import Outcome
from appliance.result import ModelId
from appliance.service.backend import Backend
from engines.manifest import Manifest
from engines.predictions import Answer, Label, StageTimes
from tests.waiting import until

TOPICS = Topics("appliance", "dock-1")
MODEL = ModelId("people", "1", "sha256:" + "0" * 64)
ANSWER = Answer("classify", (Label("person", 0, 0.9),), StageTimes(0.1, 0.2, 0.3))


def asked(within_s: float = 0.5, *, padding: int = 100, **changes: Any) -> tuple[Question, codec.Payload]:
    """A question whose tensor takes `padding` bytes, and what travels of it."""
    question = Question(
        id=str(ULID()),
        device=TOPICS.device,
        model=MODEL.name,
        version=None,
        first="head",
        last=None,
        picture=None,
        sound=None,
        tensors={"x": np.random.default_rng(1).integers(0, 256, padding, np.uint8)},
        decode=True,
        threshold=None,
        labels=None,
        deadline_ns=time.monotonic_ns() + int(within_s * 1e9),
    )
    question = replace(question, **changes)
    return question, codec.encode_question(question)


def reply(question_id: str, **changes: Any) -> Reply:
    whole = Reply(question_id, MODEL, ANSWER, {}, queue_ms=0.1, infer_ms=0.2, service="attic", engine="onnxruntime")
    return replace(whole, **changes)


Answers: TypeAlias = Callable[["Scripted", mqtt.MQTTMessage], None]
"""What a scripted service does with a question, on its client's thread."""


def at_once(service: Scripted, message: mqtt.MQTTMessage) -> None:
    service.answer(message, reply(question_id(message)))


def question_id(message: mqtt.MQTTMessage) -> str:
    found: bytes = message.properties.CorrelationData  # type: ignore[union-attr]  # paho: a question has properties
    return found.decode()


class Scripted:
    """Takes the questions to a model and does with each what the test says."""

    def __init__(self, port: int, answers: Answers, name: str = "attic", model: str = MODEL.name) -> None:
        self.name = name
        self.questions: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self._answers = answers
        self._ready = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe(questions("test", model), qos=1)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._ready.wait(5)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        self.questions.put(message)
        self._answers(self, message)

    def announce(
        self,
        state: Literal["online", "draining", "offline"] = "online",
        queue_ms: float = 0.0,
        manifest: Manifest | None = None,
        asked_as: str = "",
    ) -> None:
        """That it has this model, by its own name or another, or else MODEL with the stage `head`."""
        model = ServedModel(MODEL.name, True, MODEL.version, MODEL.digest, stages=("head",), queue_ms=queue_ms)
        if manifest is not None:
            model = served(asked_as or manifest.name, manifest, engine="onnxruntime", queue_ms=queue_ms, infer_ms=0.0)
        document = announcement_to_json(Announcement(self.name, state, "test", (model,)))
        self.client.publish(service_available(self.name), document, 1, retain=True).wait_for_publish(5)

    def answer(
        self,
        message: mqtt.MQTTMessage,
        outcome: Reply | Refused,
        *,
        to: str | None = None,
        correlation: bytes | None = None,
        body: bytes | None = None,
    ) -> None:
        """Send it where the question says, unless the test says otherwise."""
        payload = codec.encode_answer(outcome, question_id(message), self.name)
        properties = properties_of(PacketTypes.PUBLISH)
        asked_with: Any = message.properties
        properties.CorrelationData = asked_with.CorrelationData if correlation is None else correlation
        properties.UserProperty = payload.user()
        self.client.publish(
            to or asked_with.ResponseTopic, payload.body if body is None else body, 1, False, properties
        )

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def scripted(port: int, answers: Answers = at_once, name: str = "attic", model: str = MODEL.name) -> Iterator[Scripted]:
    service = Scripted(port, answers, name, model)
    try:
        yield service
    finally:
        service.close()


def running(backend: Backend) -> Answers:
    """Answers with what a model says, run on the client's thread; `backend` is open."""

    def run(service: Scripted, message: mqtt.MQTTMessage) -> None:
        user: Any = message.properties
        model, device = topics.asked(message.topic) or ("", "")
        question = codec.decode_question(
            bytes(message.payload),
            codec.header_bytes(user.UserProperty),
            model=model,
            device=device,
            deadline_ns=time.monotonic_ns() + int(codec.deadline_ms(user.UserProperty) * 1e6),
        )
        [outcome] = backend.run([question])
        if isinstance(outcome, Reply):
            outcome = replace(outcome, service=service.name)
        service.answer(message, outcome)

    return run


@contextmanager
def asking(url: str, *, await_connection: bool = True, **changes: Any) -> Iterator[Asker]:
    """An asker at work; at the end it must stop within seconds."""
    link = LinkSettings(url, client_id="appliance-dock-1-asker", first_wait_s=0.05, longest_wait_s=0.3)
    asker = Asker(replace(link, **changes), TOPICS)
    stopping = threading.Event()
    thread = threading.Thread(target=asker.run, args=(stopping,), name="asker")
    thread.start()
    try:
        if await_connection:
            until(lambda: asker.figures().connected, what=f"connected; it says: {asker.figures().broker}")
        yield asker
    finally:
        stopping.set()
        asker.wake()
        thread.join(10)
        assert not thread.is_alive(), "the asker does not stop"


def settled(asker: Asker) -> AskerFigures:
    """Figures that were counted after this call."""
    before = asker.figures()
    until(lambda: asker.figures() is not before)
    return asker.figures()


class Taken:
    """What came of a question, how often, and when."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.at_ns: list[int] = []
        self.thread = ""
        self._came = threading.Event()

    def __call__(self, outcome: Outcome) -> None:
        self.at_ns.append(time.monotonic_ns())
        self.outcomes.append(outcome)
        self.thread = threading.current_thread().name
        self._came.set()

    def outcome(self, within_s: float = 5.0) -> Outcome:
        """The only one."""
        assert self._came.wait(within_s), f"nothing came within {within_s} s"
        [only] = self.outcomes
        return only

    def refusal(self, within_s: float = 5.0) -> Refused:
        outcome = self.outcome(within_s)
        assert isinstance(outcome, Refused), outcome
        return outcome


def ask(asker: Asker, within_s: float = 0.5, **changes: Any) -> tuple[Question, Taken]:
    question, payload = asked(within_s, **changes)
    taken = Taken()
    asker.ask(question, payload, taken)
    return question, taken
