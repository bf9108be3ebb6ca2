"""One MQTT 5 connection, from its first packet to its end, over one paho client that is then thrown away.

paho-mqtt keeps unacknowledged messages inside a client and sends them again by itself after a reconnect, behind the
back of whoever decides the order. A client that is used once has nothing to send again: the outbox alone decides.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from appliance.mailbox import Mailbox
from appliance.mqtt import reasons
from appliance.mqtt.incoming import Inbox, Incoming
from appliance.mqtt.reasons import Loss
from appliance.mqtt.settings import LinkSettings
from appliance.thread_priority import be_punctual

logger = logging.getLogger(__name__)

TCP_CLOSE_WAIT = 8
"""Linux, tcp_states.h: the other side has sent FIN."""
LARGEST_PACKET_BYTES = 268_435_455
"""What the length field of MQTT can say (MQTT 5.0, section 2.1.4)."""
CALLBACKS = (
    "on_log",
    "on_pre_connect",
    "on_socket_open",
    "on_socket_close",
    "on_connect",
    "on_connect_fail",
    "on_disconnect",
    "on_publish",
    "on_subscribe",
    "on_unsubscribe",
    "on_message",
)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What we tell the broker first."""

    will_topic: str = ""
    """Empty: there is no will."""
    will_payload: bytes = b""
    subscriptions: tuple[str, ...] = ()
    """Topic filters, QoS 1, subscribed at every connect."""


class Up(NamedTuple):
    """The broker let us in."""

    connection: int
    window: int
    """Most messages at QoS 1 on their way."""
    largest_bytes: int
    """Longest packet the broker takes."""
    resumed: bool = False
    """Whether the broker still knew our session."""
    kept_s: float = 0.0
    """How long it keeps a session that nobody uses."""


class Down(NamedTuple):
    """The connection ended, or never came to be."""

    connection: int
    loss: Loss
    words: str
    blame: int = 0
    """How much speaks for a message of ours as the reason (see `reasons.blame`)."""


class Acknowledged(NamedTuple):
    """QoS 1: the broker answered. QoS 0: the bytes went to the kernel, `code` is 0."""

    connection: int
    mid: int
    code: int


class Deaf(NamedTuple):
    """The broker does not let us subscribe to a topic."""

    connection: int
    topic: str
    code: int


class Quiet(NamedTuple):
    """The broker sends no more of what we unsubscribed from."""

    connection: int


LinkEvent: TypeAlias = Up | Down | Acknowledged | Quiet
ConnectionEvent: TypeAlias = LinkEvent | Deaf


class ConnectionGone(Exception):
    """The connection has ended or did not take the message; its `Down` is on the way or due."""


class Unsendable(Exception):
    """No connection can carry this message."""


class Connection:
    """Its events carry `number`, so that a late one of a connection given up is told from a fresh one.

    paho's thread runs the callbacks; they put what happened into `events`, and messages into `incoming`, and nothing
    else. While it tells of an acknowledgement, paho holds a lock that `publish` takes as well: a lock that is held
    around `publish` must not be wanted by `events.put`. During `incoming.put` paho holds none that `publish` takes.
    """

    def __init__(
        self,
        settings: LinkSettings,
        greeting: Greeting,
        number: int,
        events: Mailbox[ConnectionEvent],
        incoming: Inbox,
    ) -> None:
        self.number = number
        self.answered = False
        """Whether CONNACK has come, yes or no."""
        self._settings = settings
        self._greeting = greeting
        self._events = events
        self._incoming = incoming
        self._retain = True
        self._closed_in_order = False
        self._subscribing: deque[tuple[str, ...]] = deque()
        """Topics whose subscription the broker has not confirmed; it does so in order."""
        self._thread: threading.Thread | None = None
        self._abandoned = False
        self._started_s = 0.0
        self._trouble = ""
        """What paho last had to complain of before the broker answered."""
        self._client = self._new_client()

    def _new_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._settings.client_id,
            protocol=MQTTv5,
            reconnect_on_failure=False,
        )
        client.suppress_exceptions = True
        client.reconnect_delay_set(0, 0)  # its thread ends at once after a failure
        client.max_inflight_messages_set(0)  # the uplink keeps the window; 0: paho never holds a message back
        client.on_log = self._on_log
        client.on_pre_connect = self._guarded(self._note_thread)
        client.on_socket_open = self._guarded(self._set_socket_options)
        client.on_socket_close = self._guarded(self._note_close)
        client.on_connect = self._guarded(self._on_connect)
        client.on_connect_fail = self._guarded(self._on_connect_fail)
        client.on_disconnect = self._guarded(self._on_disconnect)
        client.on_publish = self._guarded(self._on_publish)
        client.on_subscribe = self._guarded(self._on_subscribe)
        client.on_unsubscribe = self._guarded(self._on_unsubscribe)
        client.on_message = self._on_message
        if self._greeting.will_topic:
            will = properties_of(PacketTypes.WILLMESSAGE)
            will.WillDelayInterval = self._settings.will_delay_s
            client.will_set(self._greeting.will_topic, self._greeting.will_payload, qos=1, retain=True, properties=will)
        return client

    def start(self) -> None:
        """Connect, in paho's thread; `Up` or `Down` will follow. Raises ConfigError for files that are no use."""
        settings = self._settings
        address = settings.address
        if settings.username is not None:
            self._client.username_pw_set(settings.username, settings.password())
        if address.tls:
            self._client.tls_set_context(settings.tls_context())
        connect = properties_of(PacketTypes.CONNECT)
        connect.SessionExpiryInterval = settings.will_delay_s
        connect.MaximumPacketSize = settings.largest_incoming_bytes
        connect.ReceiveMaximum = settings.receive_most
        self._started_s = time.monotonic()
        # Not a clean start: that would end the old session, and the broker would send its delayed will at once.
        self._client.connect_async(
            address.host, address.port, settings.keepalive_s, clean_start=False, properties=connect
        )
        self._client.loop_start()

    def overdue(self, now_s: float) -> bool:
        """Whether the broker should have answered the greeting by now."""
        return not self.answered and now_s > self._started_s + self._settings.answer_within_s

    @property
    def dead(self) -> bool:
        """Whether paho's thread has ended. paho itself may still say that it is connected."""
        return self._thread is not None and not self._thread.is_alive()

    def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool = False, properties: Properties | None = None
    ) -> int:
        """Give a message to paho; returns the number that its `Acknowledged` will carry.

        Raises ConnectionGone, and Unsendable for what MQTT cannot carry.
        """
        try:
            info = self._client.publish(topic, payload, qos, retain and self._retain, properties)
        except ValueError as e:
            raise Unsendable(str(e)) from e
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            # 4 (no connection) and 15 (not taken): with a client that never reconnects, both mean not sent.
            raise ConnectionGone(f"paho did not take a message (rc {int(info.rc)})")
        return info.mid

    def subscribe(self, topics: Sequence[str]) -> None:
        """Further topic filters, QoS 1; a `Deaf` follows for each that the broker does not allow. They end with the
        connection."""
        self._subscribing.append(tuple(topics))
        self._client.subscribe([(topic, 1) for topic in topics])

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """A `Quiet` follows."""
        self._client.unsubscribe(list(topics))

    def finish(self, within_s: float) -> None:
        """Say goodbye, so that the broker does not send our last will, and wait for the end."""
        self._client.disconnect()
        if self._thread is not None:
            self._thread.join(within_s)
        self.abandon()

    def abandon(self) -> None:
        """End without a word, also while connecting; its thread goes by itself. Never blocks."""
        self._abandoned = True
        self._shut(self._client.socket())

    def _shut(self, sock: Any) -> None:
        if sock is None:
            return
        try:
            # Not SSLSocket.shutdown, which would pull the TLS state from under paho's thread.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
        except OSError:
            return  # it was closed already

    # Callbacks, in paho's thread.

    def _guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        """An exception that left a callback would end paho's thread, or be lost: end the connection instead."""

        def call(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except Exception:
                logger.exception("internal error in %s: the connection is made again", callback.__name__)
                self.abandon()

        return call

    def _let_go(self, client: Client) -> None:
        """Its thread ends now. A client that still held our methods would wait for the garbage collector, two sockets
        open."""
        for name in CALLBACKS:
            setattr(client, name, None)

    def _on_log(self, _client: Client, _userdata: Any, level: int, text: str) -> None:
        """Until the broker answers, paho tells what went wrong to its log alone."""
        if level == LogLevel.MQTT_LOG_ERR:
            self._trouble = text

    def _note_thread(self, _client: Client, _userdata: Any) -> None:
        self._thread = threading.current_thread()
        if self._settings.punctual:
            be_punctual()

    def _set_socket_options(self, _client: Client, _userdata: Any, sock: Any) -> None:
        """Send at once; learn about a dead link in seconds, sending (user timeout) or idle (keep-alive)."""
        if self._abandoned:
            self._shut(sock)
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        user_timeout_ms = int(self._settings.user_timeout_s * 1000)
        for option, value in (
            ("TCP_USER_TIMEOUT", user_timeout_ms),
            ("TCP_KEEPIDLE", 3),
            ("TCP_KEEPINTVL", 2),
            ("TCP_KEEPCNT", 3),
        ):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def _note_close(self, _client: Client, _userdata: Any, sock: Any) -> None:
        """Whether the other side closed in order: paho does not tell that from a reset or a dead line."""
        if not self._abandoned and hasattr(socket, "TCP_INFO"):
            self._closed_in_order = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE_WAIT

    def _on_connect(self, client: Client, _userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.answered = True
        client.on_log = None  # it costs time with every packet
        if reason.is_failure:
            loss, words = reasons.refusal(reason.value, self._settings.client_id)
            self._events.put(Down(self.number, loss, words))
            return
        if getattr(properties, "MaximumQoS", 1) < 1:
            self._events.put(Down(self.number, *reasons.refusal(0x9B, self._settings.client_id)))
            self.abandon()
            return
        self._retain = bool(getattr(properties, "RetainAvailable", 1))
        if self._greeting.subscriptions:
            self.subscribe(self._greeting.subscriptions)
        window = min(self._settings.window, getattr(properties, "ReceiveMaximum", 65_535))
        largest = getattr(properties, "MaximumPacketSize", LARGEST_PACKET_BYTES)
        kept_s = float(getattr(properties, "SessionExpiryInterval", self._settings.will_delay_s))
        self._events.put(Up(self.number, window, largest, flags.session_present, kept_s))

    def _on_connect_fail(self, client: Client, _userdata: Any) -> None:
        # paho tells no reason, but calls this while it handles the exception.
        words = reasons.unreachable(sys.exc_info()[1], self._settings.address.host)
        self._events.put(Down(self.number, Loss.UNREACHABLE, f"{self._settings.address}: {words}"))
        self._let_go(client)

    def _on_disconnect(self, client: Client, _userdata: Any, flags: Any, reason: Any, _properties: Any) -> None:
        from_broker = flags.is_disconnect_packet_from_server
        if self.answered:
            how = {"from_broker": from_broker, "in_order": self._closed_in_order}
            loss, words = reasons.ending(reason.value, self._settings.client_id, **how)
            blame = 0 if self._abandoned else reasons.blame(reason.value, **how)
            self._events.put(Down(self.number, loss, words, blame))
        else:
            words = reasons.unanswered(self._trouble, reason.value, tls=self._settings.address.tls)
            self._events.put(Down(self.number, Loss.UNREACHABLE, f"{self._settings.address}: {words}"))
        self._let_go(client)

    def _on_publish(self, _client: Client, _userdata: Any, mid: int, reason: Any, _properties: Any) -> None:
        self._events.put(Acknowledged(self.number, mid, reason.value))

    def _on_subscribe(self, _client: Client, _userdata: Any, _mid: int, codes: Any, _properties: Any) -> None:
        topics = self._subscribing.popleft() if self._subscribing else ()
        for topic, reason in zip(topics, codes, strict=False):
            if reason.is_failure:
                self._events.put(Deaf(self.number, topic, reason.value))

    def _on_unsubscribe(self, _client: Client, _userdata: Any, _mid: int, _codes: Any, _properties: Any) -> None:
        self._events.put(Quiet(self.number))

    def _on_message(self, _client: Client, _userdata: Any, message: MQTTMessage) -> None:
        try:
            self._incoming.put(_incoming(message))
        except UnicodeDecodeError:
            return  # no topic we subscribe to; the broker should have refused it
        except Exception:
            # To end the connection would not help: a retained message comes again with the next.
            logger.exception("internal error: a message from the broker is dropped")


def _incoming(message: MQTTMessage) -> Incoming:
    properties = message.properties
    return Incoming(
        topic=message.topic,
        payload=bytes(message.payload),
        qos=message.qos,
        retain=message.retain,
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
        expires_s=getattr(properties, "MessageExpiryInterval", None),
        user=tuple(getattr(properties, "UserProperty", ())),
    )


def properties_of(packet: int) -> Properties:
    """An empty set of MQTT 5 properties for one packet type of paho's `PacketTypes`."""
    return Properties(packet)  # type: ignore[no-untyped-call]  # paho annotates all but its constructor


def packet_bytes(topic: str, payload: bytes, properties: Properties | None = None) -> int:
    """Length of the PUBLISH packet at QoS 1 (MQTT 5.0, section 3.3), to compare with the broker's maximum."""
    property_bytes = 1 if properties is None else len(properties.pack())  # type: ignore[no-untyped-call]  # paho
    remaining = 2 + len(topic.encode()) + 2 + property_bytes + len(payload)
    length_bytes = 1 + sum(remaining >= limit for limit in (1 << 7, 1 << 14, 1 << 21))
    return 1 + length_bytes + remaining
