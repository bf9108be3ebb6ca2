"""How much of a serialized message is read at some cost: told from the lengths of its fields, without reading them."""

from __future__ import annotations

from appliance.questions.tensors import BadTensor

RAW_INPUT_CONTENTS = 7
"""The field of ModelInferRequest whose bytes are taken as they are."""
FIELD_BYTES = 64
"""What a field counts, whatever its length: it becomes an object."""


def written_out_bytes(message: bytes, enough: int) -> int:
    """Bytes of a ModelInferRequest that are not raw contents; counts no further than beyond `enough`.

    The format: https://protobuf.dev/programming-guides/encoding. Raises BadTensor where it is not kept to.
    """
    at = total = 0
    while at < len(message) and total <= enough:
        tag, at = _varint(message, at)
        kind, field = tag & 7, tag >> 3
        size = 0
        if kind == 0:
            _, at = _varint(message, at)
        elif kind == 2:
            size, at = _varint(message, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise BadTensor("not a message of this protocol")
        at += size
        total += FIELD_BYTES + (0 if field == RAW_INPUT_CONTENTS else size)
    if at > len(message):
        raise BadTensor("a message that is cut off")
    return total


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number there, and what comes after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise BadTensor("not a message of this protocol")
