"""How a kept sample travels to a model service, and what the service says of it.

A message is the length of the document (four bytes, big endian), the document, and the bytes of its picture or sound.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

_LENGTH = struct.Struct(">I")
MOST_BYTES = 4 << 20
"""Of a message: a broker set up by `appliance broker` takes no larger packet."""


def pack(document: bytes, data: bytes) -> bytes:
    return _LENGTH.pack(len(document)) + document + data


def unpack(message: bytes) -> tuple[bytes, bytes] | None:
    """Document and data; None when this is no such message."""
    if len(message) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(message)
    end = _LENGTH.size + length
    return (message[_LENGTH.size : end], message[end:]) if end <= len(message) else None


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service says of a sample: it has it; it will never take it; it cannot now."""

    __pydantic_config__ = ConfigDict(extra="ignore")

    id: str
    """Of the message, which its correlation data carried."""
    status: Literal["stored", "refused", "later"]
    words: str = ""


_REPLY: TypeAdapter[Reply] = TypeAdapter(Reply)


def reply_to_json(reply: Reply) -> bytes:
    return _REPLY.dump_json(reply)


def reply_from_json(text: bytes) -> Reply | None:
    """None when it is no such document."""
    try:
        return _REPLY.validate_json(text)
    except ValidationError:
        return None
