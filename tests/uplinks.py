"""A running uplink, a plain subscriber and small documents, for tests of everything between them."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from socket import IPPROTO_TCP, TCP_NODELAY
from types import TracebackType
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes

from appliance.mqtt.connection import properties_of
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics
from appliance.result import Event, ModelId
from appliance.uplink.outgoing import Spool
from appliance.uplink.uplink import Uplink, UplinkSettings
from tests.waiting import until

TOPICS = Topics("appliance", "dock-1")
MODEL = ModelId("people", "1", "sha256:0")


def event(number: int, reason: str = "a test") -> Event:
    """A small event; `number` comes back as its `seq`."""
    return Event(
        id=f"{number:026d}",
        event="update",
        device=TOPICS.device,
        pipeline="people",
        source="dock",
        seq=number,
        at="2026-01-01T00:00:00.000000Z",
        clock="synced",
        model=MODEL,
        reason=reason,
        before=None,
        after=None,
    )


def spool(number: int, stream: str = "people", *, priority: int = 1, reason: str = "a test") -> Spool:
    """An event on its way to the outbox."""
    return Spool(TOPICS.event(stream), event(number, reason), stream, priority)


def settings(url: str, folder: Path, **changes: Any) -> UplinkSettings:
    """An uplink of this test's own, that reconnects quickly."""
    link = LinkSettings(url, client_id=f"appliance-{folder.name}", first_wait_s=0.1, longest_wait_s=0.5)
    return replace(UplinkSettings(link, TOPICS, folder / "outbox.sqlite"), **changes)


class Running:
    """An uplink at work in its thread; `with Running(settings) as uplink`."""

    def __init__(self, wanted: UplinkSettings) -> None:
        self.uplink = Uplink(wanted)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.uplink.run, args=(self._stopping,), name="uplink")

    def __enter__(self) -> Uplink:
        self._thread.start()
        return self.uplink

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(10)
        assert not self._thread.is_alive(), "the uplink does not stop"


def connected(uplink: Uplink, within_s: float = 5.0) -> None:
    """Wait until it is."""
    until(lambda: uplink.figures().connected, within_s, f"connected; it says: {uplink.figures().broker}")


def _send_at_once(_client: mqtt.Client, _userdata: Any, sock: Any) -> None:
    sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)


class Listener:
    """A subscriber in this process; `messages` are (topic, payload) in the order they came."""

    def __init__(self, port: int, topic: str = "appliance/#", qos: int = 1) -> None:
        self.messages: list[mqtt.MQTTMessage] = []
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _userdata, message: self.messages.append(message)
        self._client.on_socket_open = _send_at_once
        self._client.reconnect_delay_set(1, 1)
        self._port = port

    def __enter__(self) -> Listener:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        retain: bool = False,
        response_topic: str | None = None,
        correlation: bytes = b"",
    ) -> None:
        properties = properties_of(PacketTypes.PUBLISH)
        if response_topic is not None:
            properties.ResponseTopic = response_topic
            properties.CorrelationData = correlation
        self._client.publish(topic, payload, qos=1, retain=retain, properties=properties).wait_for_publish(5)

    def on(self, topic: str) -> list[bytes]:
        """Payloads that came on one topic."""
        return [bytes(message.payload) for message in self.messages if message.topic == topic]

    def user_properties(self, topic: str) -> list[list[tuple[str, str]]]:
        """MQTT 5 user properties of what came on one topic."""
        return [getattr(message.properties, "UserProperty", []) for message in self.messages if message.topic == topic]

    def events(self, stream: str = "people") -> list[dict[str, Any]]:
        """Documents on the event topic of a stream."""
        return [json.loads(payload) for payload in self.on(TOPICS.event(stream))]

    def numbers(self, stream: str = "people") -> list[int]:
        """The `number` of every event that came, first occurrences only."""
        seen = dict.fromkeys(document["seq"] for document in self.events(stream) if document["type"] == "event")
        return list(seen)
