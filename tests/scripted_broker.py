"""A broker that answers as it is told: codes, properties and silences that no real broker gives on demand.

For what mosquitto can be made to say, use mosquitto. Packets: MQTT Version 5.0 (OASIS), section 3.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ = 1, 3, 8, 12
RECEIVE_MAXIMUM, MAXIMUM_QOS, RETAIN_AVAILABLE, MAXIMUM_PACKET_SIZE = 0x21, 0x24, 0x25, 0x27


class ScriptedBroker:
    """Opened with `with`; serves one client after the other. Change the answers at any time."""

    def __init__(self) -> None:
        self.connack: int | None = 0
        """Code of the answer to CONNECT; None: no answer."""
        self.properties = b""
        """Of CONNACK, packed."""
        self.puback: Callable[[str], int | None] = lambda topic: 0
        """Code of the answer to a message; None: no answer."""
        self.suback = 1
        self.greets_with = b""
        """Sent before anything was read, such as the banner of another protocol."""
        self.after_connack: list[bytes] = []
        """Sent once, to the next client that is let in."""
        self.connects = 0
        self.topics: list[str] = []
        """Of every message that came."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, name="scripted broker")

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def __enter__(self) -> ScriptedBroker:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        self._thread.join(5)

    def say(self, packet: bytes) -> None:
        """Send a packet to the client now."""
        assert self._client is not None
        self._client.sendall(packet)

    def hang_up(self) -> None:
        if self._client is not None:
            with suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._client = client
            with client, suppress(OSError):
                if self.greets_with:
                    client.sendall(self.greets_with)
                while (packet := _read(client)) is not None:
                    self._answer(client, *packet)

    def _answer(self, client: socket.socket, kind: int, flags: int, body: bytes) -> None:
        if kind == CONNECT and self.connack is not None:
            self.connects += 1
            content = bytes([0, self.connack, len(self.properties)]) + self.properties
            client.sendall(bytes([0x20, len(content)]) + content)
            while self.connack == 0 and self.after_connack:
                client.sendall(self.after_connack.pop(0))
        elif kind == PUBLISH:
            self._answer_message(client, flags, body)
        elif kind == SUBSCRIBE:
            count = body[3:].count(b"appliance/") or 1
            client.sendall(b"\x90" + bytes([3 + count]) + body[:2] + b"\0" + bytes([self.suback]) * count)
        elif kind == PINGREQ:
            client.sendall(b"\xd0\x00")

    def _answer_message(self, client: socket.socket, flags: int, body: bytes) -> None:
        (length,) = struct.unpack_from(">H", body)
        topic = body[2 : 2 + length].decode()
        self.topics.append(topic)
        if flags & 0x06 and (code := self.puback(topic)) is not None:
            client.sendall(b"\x40\x04" + body[2 + length : 4 + length] + bytes([code, 0]))


def disconnect(code: int) -> bytes:
    """The packet by which a broker ends a connection."""
    return bytes([0xE0, 2, code, 0])


def property_of(name: int, value: int) -> bytes:
    """One numeric property, packed."""
    widths = {RECEIVE_MAXIMUM: ">BH", MAXIMUM_QOS: ">BB", RETAIN_AVAILABLE: ">BB", MAXIMUM_PACKET_SIZE: ">BI"}
    return struct.pack(widths[name], name, value)


def _read(client: socket.socket) -> tuple[int, int, bytes] | None:
    """The next packet: type, flags, what follows its length; None at the end."""
    head = client.recv(1)
    if not head:
        return None
    length, shift = 0, 0
    while True:
        (byte,) = client.recv(1) or b"\0"
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    body = bytearray()
    while len(body) < length:
        data = client.recv(length - len(body))
        if not data:
            return None
        body += data
    return head[0] >> 4, head[0] & 0x0F, bytes(body)
