"""The properties of a PUBLISH, written out here: paho takes 0.2 ms to do it, for every question and every answer.

MQTT 5.0, section 3.3.2.3; types in section 1.5.
"""

from __future__ import annotations

from collections.abc import Iterable

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

_EXPIRY, _RESPONSE_TOPIC, _CORRELATION, _USER = 0x02, 0x08, 0x09, 0x26


class Written(Properties):
    """Goes wherever paho wants Properties of a PUBLISH; what is in it cannot be changed, or asked."""

    def __init__(
        self,
        *,
        expires_s: int | None = None,
        response_topic: str | None = None,
        correlation: bytes | None = None,
        user: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Raises ValueError for a text or a value of more than 65,535 bytes, or a time that is none."""
        super().__init__(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho
        parts = []
        if expires_s is not None:
            parts += [_EXPIRY.to_bytes(1, "big"), _whole(expires_s, 4)]
        if response_topic is not None:
            parts += [_RESPONSE_TOPIC.to_bytes(1, "big"), _prefixed(response_topic.encode())]
        if correlation is not None:
            parts += [_CORRELATION.to_bytes(1, "big"), _prefixed(correlation)]
        for name, value in user:
            parts += [_USER.to_bytes(1, "big"), _prefixed(name.encode()), _prefixed(value.encode())]
        body = b"".join(parts)
        object.__setattr__(self, "_written", _length(len(body)) + body)

    def pack(self) -> bytes:
        written: bytes = object.__getattribute__(self, "_written")
        return written


def _prefixed(value: bytes) -> bytes:
    return _whole(len(value), 2) + value


def _whole(value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError as e:
        raise ValueError(f"{value} does not fit into {size} bytes of an MQTT property") from e


def _length(value: int) -> bytes:
    """A variable byte integer, section 1.5.5."""
    digits = bytearray()
    while True:
        value, digit = divmod(value, 128)
        digits.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(digits)
