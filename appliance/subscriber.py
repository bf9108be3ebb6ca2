"""A plain MQTT 5 subscriber for people and scripts: connects, reconnects, hands messages to one reader."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Iterator
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

FIRST_CONNECT_S = 5.0


class UnusableBrokerError(Exception):
    """The broker's address is wrong or it refuses us; the message says what to do."""


class Subscriber:
    """Opened with `with`; `messages` fills with (topic, payload) while it is open."""

    def __init__(
        self, url: str, topic: str, username: str | None = None, password: str | None = None, ca_file: str | None = None
    ) -> None:
        """`url` is mqtt://host:port or mqtts://host:port. Raises UnusableBrokerError for anything else."""
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        parts = urlsplit(url if "://" in url else f"mqtt://{url}")
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise UnusableBrokerError(f"{url}: not a broker's address; write mqtt://host:1883")
        self.url = f"{parts.scheme}://{parts.hostname}:{parts.port or (8883 if parts.scheme == 'mqtts' else 1883)}"
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self._topic = topic
        self._news: queue.Queue[str] = queue.Queue()
        self._answered: queue.Queue[str] = queue.Queue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        if username is not None or parts.username:
            self._client.username_pw_set(username or parts.username, password or parts.password)
        if parts.scheme == "mqtts":
            self._client.tls_set(ca_certs=ca_file, cert_reqs=ssl.CERT_REQUIRED)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.suppress_exceptions = True
        self._client.reconnect_delay_set(1, 5)

    def __enter__(self) -> Subscriber:
        parts = urlsplit(self.url)
        try:
            self._client.connect(parts.hostname or "", parts.port or 1883, keepalive=15)
        except (OSError, ssl.SSLError) as error:
            raise UnusableBrokerError(
                f"{self.url}: no connection: {error}; is the broker running, is the address right?"
            ) from error
        self._client.loop_start()
        try:
            refusal = self._answered.get(timeout=FIRST_CONNECT_S)
        except queue.Empty:
            refusal = "it does not answer as an MQTT 5 broker (TLS needed, or client certificate refused?)"
        if refusal:
            self.__exit__(None, None, None)
            raise UnusableBrokerError(f"{self.url}: {refusal}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def news(self) -> Iterator[str]:
        """What happened to the connection since the last call, in sentences."""
        while True:
            try:
                yield self._news.get_nowait()
            except queue.Empty:
                return

    def _on_connect(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._answered.put(f"refused: {reason}; check user name and password")
            return
        client.subscribe(self._topic, qos=1)
        self._answered.put("")
        self._news.put(f"{self.url}: connected")

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._news.put(f"{self.url}: connection lost ({reason}); trying again")

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        self.messages.put((message.topic, bytes(message.payload)))
