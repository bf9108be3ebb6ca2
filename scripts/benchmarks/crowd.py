"""Many simulated devices that ask model services, each over a connection of its own, turned by one thread."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from ulid import ULID

from appliance.mqtt.connection import properties_of
from appliance.mqtt.topics import Topics
from appliance.mqtt.topics import question as question_topic
from appliance.questions import codec
from appliance.questions.codec import Payload
from appliance.questions.question import Question, Refused, Reply
from engines.engine import Array

CONNECT_WITHIN_S = 30.0
TICK_S = 0.5


def question_of(model: str, *, sound: Array | None = None, jpeg: bytes | None = None, **changes: Any) -> Payload:
    """The payload of a question for predictions from a sample, under a fresh id unless one is given."""
    given: dict[str, Any] = {
        "id": str(ULID()),
        "device": "",
        "model": model,
        "version": None,
        "first": None,
        "last": None,
        "picture": None,
        "sound": sound,
        "tensors": {},
        "decode": True,
        "threshold": None,
        "labels": None,
        "deadline_ns": 0,
    }
    return codec.encode_question(Question(**{**given, **changes}), jpeg=jpeg)


@dataclass(slots=True)
class Asked:
    """A question and what became of it."""

    device: str
    sent_ns: int
    answers: list[tuple[int, Reply | Refused]] = field(default_factory=list)
    """When each came, and what it said; more than one is a fault."""

    @property
    def answered(self) -> bool:
        return any(isinstance(answer, Reply) for _, answer in self.answers)

    @property
    def ms(self) -> float:
        """From sending to the first answer."""
        return (self.answers[0][0] - self.sent_ns) / 1e6


class Crowd:
    """Opened with `with`: all are connected and listen for their answers. `ask` may be called from any thread."""

    def __init__(self, host: str, port: int, devices: Sequence[str], base: str = "appliance") -> None:
        self.devices = tuple(devices)
        self.asked: dict[str, Asked] = {}
        """By id."""
        self.on_answer: Any = None
        """Called on the crowd's thread with the device's name and the answer; it may ask again."""
        self._host, self._port, self._base = host, port, base
        self._clients: dict[str, mqtt.Client] = {}
        self._subscribed: set[str] = set()
        self._selector = selectors.DefaultSelector()
        self._near, self._far = socket.socketpair()
        self._work: deque[tuple[str, str, Payload, str, float, str | None]] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)

    def __enter__(self) -> Crowd:
        self._near.setblocking(False)
        self._selector.register(self._near, selectors.EVENT_READ, None)
        for device in self.devices:
            self._clients[device] = self._connect(device)
        self._thread.start()
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._subscribed) == len(self.devices), CONNECT_WITHIN_S):
                raise TimeoutError(f"only {len(self._subscribed)} of {len(self.devices)} devices could connect")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._wake()
        self._thread.join(10)
        for client in self._clients.values():
            client.disconnect()
        self._selector.close()
        self._near.close()
        self._far.close()

    def ask(
        self,
        device: str,
        model: str,
        payload: Payload,
        left_ms: float = 1000.0,
        *,
        question: str | None = None,
        response_topic: str | None = None,
    ) -> str:
        """Send it; returns its id. `question`: the id, where the payload holds a known one."""
        known = question or _id_of(payload)
        self.asked[known] = Asked(device, time.monotonic_ns())
        self._work.append((device, model, payload, known, left_ms, response_topic))
        if threading.current_thread() is self._thread:
            self._send_all()
        else:
            self._wake()
        return known

    def wait(self, questions: Sequence[str], within_s: float) -> bool:
        """Until each has an answer of any kind."""
        with self._changed:
            return self._changed.wait_for(lambda: all(self.asked[each].answers for each in questions), within_s)

    # -- its thread -----------------------------------------------------------------------------------------------

    def _connect(self, device: str) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"crowd-{device}", protocol=mqtt.MQTTv5)
        client.max_inflight_messages_set(0)

        def listen(*_: Any) -> None:
            client.subscribe(Topics(self._base, device).answer, qos=1)

        client.on_connect = listen
        client.on_subscribe = lambda *_: self._note_subscribed(device)
        client.on_message = lambda _client, _data, message: self._note(device, message)
        client.connect(self._host, self._port, keepalive=120)
        sock: Any = client.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(sock, selectors.EVENT_READ, client)
        return client

    def _run(self) -> None:
        misc_s = 0.0
        while not self._stopping:
            for key, _ in self._selector.select(TICK_S):
                if key.data is None:
                    self._near.recv(65536)
                else:
                    key.data.loop_read()
            self._send_all()
            writing = [client for client in self._clients.values() if client.want_write()]
            for client in writing:
                client.loop_write()
            if time.monotonic() > misc_s + 1.0:
                misc_s = time.monotonic()
                for client in self._clients.values():
                    client.loop_misc()

    def _send_all(self) -> None:
        while self._work:
            device, model, payload, question, left_ms, response_topic = self._work.popleft()
            properties = properties_of(PacketTypes.PUBLISH)
            properties.ResponseTopic = response_topic or Topics(self._base, device).answer
            properties.CorrelationData = question.encode()
            properties.MessageExpiryInterval = max(1, round(left_ms / 1000 + 0.5))
            properties.UserProperty = payload.user(left_ms)
            self.asked[question].sent_ns = time.monotonic_ns()
            self._clients[device].publish(question_topic(model, device), payload.body, 1, properties=properties)

    def _note_subscribed(self, device: str) -> None:
        with self._changed:
            self._subscribed.add(device)
            self._changed.notify_all()

    def _note(self, device: str, message: mqtt.MQTTMessage) -> None:
        now_ns = time.monotonic_ns()
        user = tuple(getattr(message.properties, "UserProperty", ()))
        question, answer = codec.decode_answer(bytes(message.payload), codec.header_bytes(user))
        with self._changed:
            asked = self.asked.get(question)
            if asked is not None:
                asked.answers.append((now_ns, answer))
            self._changed.notify_all()
        if self.on_answer is not None:
            self.on_answer(device, answer)

    def _wake(self) -> None:
        self._far.send(b"\0")


def _id_of(payload: Payload) -> str:
    start = payload.body.index(b'"id":"') + 6
    return payload.body[start : start + 26].decode()
