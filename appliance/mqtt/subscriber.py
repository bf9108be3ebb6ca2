"""A plain MQTT 5 subscriber for people and scripts: connects, reconnects, hands messages to one reader."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from appliance.mailbox import Mailbox
from appliance.mqtt.settings import LinkSettings

FIRST_CONNECT_S = 5.0
WAITING_MESSAGES = 10_000
"""For a reader that is slower than the broker; more are dropped, oldest first, and told as news."""


class UnusableBrokerError(Exception):
    """The broker does not answer or refuses us; the message says what to do."""


class Subscriber:
    """Opened with `with`; `messages` fills with (topic, payload) while it is open."""

    def __init__(self, settings: LinkSettings, topic: str) -> None:
        """Raises ConfigError when the address, the password's file or a certificate is of no use."""
        import paho.mqtt.client as mqtt
        from paho.mqtt.enums import CallbackAPIVersion

        self._address = settings.address
        self._topic = topic
        self.messages: Mailbox[tuple[str, bytes]] = Mailbox(WAITING_MESSAGES)
        self._news: queue.Queue[str] = queue.Queue()
        self._answered: queue.Queue[str] = queue.Queue()
        self._open = False
        self._told_dropped = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=settings.client_id, protocol=mqtt.MQTTv5)
        if settings.username is not None:
            self._client.username_pw_set(settings.username, settings.password())
        if self._address.tls:
            self._client.tls_set_context(settings.tls_context())
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.suppress_exceptions = True
        self._client.reconnect_delay_set(1, 5)

    def __enter__(self) -> Subscriber:
        try:
            self._client.connect(self._address.host, self._address.port, keepalive=15)
        except ssl.SSLCertVerificationError as error:
            raise UnusableBrokerError(
                f"{self._address}: its certificate is not trusted: check ca_file and the clock ({error.verify_message})"
            ) from error
        except OSError as error:
            raise UnusableBrokerError(
                f"{self._address}: no connection: {error}; is the broker running, is the address right?"
            ) from error
        self._client.loop_start()
        try:
            refusal = self._answered.get(timeout=FIRST_CONNECT_S)
        except queue.Empty:
            refusal = "it does not answer as an MQTT 5 broker (TLS needed, or client certificate refused?)"
        if refusal:
            self.__exit__(None, None, None)
            raise UnusableBrokerError(f"{self._address}: {refusal}")
        self._open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        # paho closes the pair of sockets that wakes its thread when the client is freed: at once, where no callback of
        # ours holds it, and not whenever garbage is collected.
        self._client.on_connect = self._client.on_subscribe = None
        self._client.on_disconnect = self._client.on_message = None

    def news(self) -> Iterator[str]:
        """What happened to the connection since the last call, in sentences."""
        dropped = self.messages.dropped
        if dropped > self._told_dropped:
            yield f"{dropped - self._told_dropped} messages were dropped: they come faster than they are read"
            self._told_dropped = dropped
        while True:
            try:
                yield self._news.get_nowait()
            except queue.Empty:
                return

    # Callbacks, in paho's thread.

    def _on_connect(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if not reason.is_failure:
            client.subscribe(self._topic, qos=1)
            self._news.put(f"{self._address}: connected")
        elif self._open:
            self._news.put(f"{self._address}: refused: {reason}; trying again")
        else:
            self._answered.put(f"refused: {reason}; check user name and password")

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        refused = [reason for reason in reasons if reason.is_failure]
        words = f"{self._topic} may not be read: {refused[0]}; allow it on the broker" if refused else ""
        if not self._open:
            self._answered.put(words)
        elif words:
            self._news.put(f"{self._address}: {words}")

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._news.put(f"{self._address}: connection lost ({reason}); trying again")

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        self.messages.put((message.topic, bytes(message.payload)))
