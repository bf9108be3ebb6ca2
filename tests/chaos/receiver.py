"""The process that subscribes: plain MQTT, reconnecting after a second, writing down what came in the order it came.

One line a message: `stream epoch seq number`, or `gap stream epoch seq first last count`, or `other topic`.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from pydantic_core import from_json

from appliance.mqtt.connection import properties_of
from tests.uplinks import TOPICS


@dataclass(frozen=True, slots=True)
class Post:
    """Where the receiver listens, and what it does with what it hears."""

    port: int
    received: Path
    confirms: bool = False
    """Publish, retained, how far each stream has been received without a hole (end-to-end acknowledgement)."""
    session_s: int = 0
    """How long the broker keeps messages for it while it is away."""


class Receiver:
    """Callbacks of a paho client that writes lines."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._log = os.open(post.received, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._lines: list[str] = []
        self._contiguous: dict[tuple[str, str], int] = {}
        self._beyond: dict[tuple[str, str], set[int]] = {}
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"receiver-{post.port}", protocol=mqtt.MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe(f"{TOPICS.root}/pipeline/#", qos=1)
        self.client.on_subscribe = lambda *_: self._lines.append("other subscribed\n")
        self.client.on_message = lambda _client, _userdata, message: self._note(message)
        self.client.reconnect_delay_set(1, 1)

    def run(self) -> None:
        properties = properties_of(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._post.session_s
        self.client.connect_async(
            "127.0.0.1", self._post.port, clean_start=not self._post.session_s, properties=properties
        )
        self.client.loop_start()
        stopping = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
        while not stopping.wait(0.05):
            self._write()
        self._write()
        os._exit(0)  # paho's loop_stop waits for ever while the broker is away

    def _write(self) -> None:
        count = len(self._lines)
        lines, self._lines[:count] = self._lines[:count], []
        if lines:
            os.write(self._log, "".join(lines).encode())
        if self._post.confirms and lines:
            for (stream, epoch), seq in list(self._contiguous.items()):
                payload = json.dumps({"epoch": epoch, "seq": seq})
                self.client.publish(TOPICS.acknowledged(stream), payload, qos=1, retain=True)

    def _note(self, message: mqtt.MQTTMessage) -> None:
        try:
            document: dict[str, Any] = from_json(message.payload)
            place = document["spool"]
            head = f"{place['stream']} {place['epoch']} {place['seq']}"
        except (ValueError, KeyError, TypeError):
            self._lines.append(f"other {message.topic}\n")
            return
        if document["type"] == "gap":
            self._lines.append(f"gap {head} {document['first']} {document['last']} {document['count']}\n")
        else:
            self._lines.append(f"{head} {document['seq']}\n")
        if self._post.confirms:
            self._advance((place["stream"], place["epoch"]), place["seq"])

    def _advance(self, stream: tuple[str, str], seq: int) -> None:
        beyond = self._beyond.setdefault(stream, set())
        beyond.add(seq)
        at = self._contiguous.get(stream, 0)
        while at + 1 in beyond:
            at += 1
            beyond.discard(at)
        self._contiguous[stream] = at


def receive(post: Post) -> None:
    """Body of the process."""
    Receiver(post).run()
