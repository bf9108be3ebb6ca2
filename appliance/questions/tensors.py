"""Tensors as the Open Inference Protocol v2 writes them: described in JSON, their values there or as raw bytes.

The protocol: https://github.com/kserve/open-inference-protocol; raw bytes behind the JSON are Triton's "binary tensor
data extension". What comes in is somebody else's: shapes, types and sizes are checked before anything is allocated,
and nothing is larger than the bytes that came, but for numbers written out in JSON (`Limits.header_bytes`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from appliance.questions.described import (
    DTYPES,
    BadTensor,
    Described,
    Limits,
    Scalar,
    TooLarge,
    checked_shape,
    datatype_of,
    describe_all,
    described,
)
from appliance.questions.values import from_data, from_raw, in_steps, to_data, to_raw
from engines.engine import Array

__all__ = [
    "DTYPES",
    "BadTensor",
    "Described",
    "Limits",
    "Scalar",
    "Tensor",
    "TooLarge",
    "checked_shape",
    "datatype_of",
    "describe_all",
    "described",
    "from_data",
    "from_raw",
    "in_steps",
    "joined",
    "parse_object",
    "raw_of_each",
    "read",
    "split",
    "to_data",
    "to_raw",
    "written",
]


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A name, values, and what else is said of them."""

    name: str
    array: Array
    """Of one of DTYPES; elements of object arrays are `bytes`."""
    parameters: Mapping[str, Scalar]


def split(body: bytes | memoryview, header_bytes: int | None, limits: Limits) -> tuple[dict[str, Any], memoryview]:
    """The JSON object at the start of a message, and the raw bytes behind it; without a length all of it is JSON.

    Raises BadTensor, and TooLarge before anything is read.
    """
    whole = memoryview(body)
    length = len(whole) if header_bytes is None else header_bytes
    if len(whole) > limits.body_bytes:
        raise TooLarge(f"{len(whole)} bytes; at most {limits.body_bytes} are taken")
    if not 0 < length <= len(whole):
        raise BadTensor(f"a JSON header of {length} bytes in a message of {len(whole)}")
    if length > limits.header_bytes:
        raise TooLarge(f"a JSON header of {length} bytes; at most {limits.header_bytes} are taken: send tensors binary")
    return parse_object(bytes(whole[:length])), whole[length:]


_HALF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
"""Where a text may hold half of a surrogate pair."""


def parse_object(text: bytes) -> dict[str, Any]:
    """A JSON object, UTF-8 also where it is escaped, without NaN and infinities; raises BadTensor."""
    try:
        document = json.loads(text.decode(), parse_constant=_no_constant)
        if _HALF_A_PAIR.search(text):
            json.dumps(document, ensure_ascii=False).encode()  # no log and no answer can hold one
    except (ValueError, RecursionError) as e:
        raise BadTensor(f"not JSON: {e}") from e
    if not isinstance(document, dict):
        raise BadTensor("not a JSON object")
    return document


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def read(entries: object, binary: memoryview, limits: Limits) -> tuple[Tensor, ...]:
    """`inputs` or `outputs` of a message and the raw bytes behind its JSON, all of which must be used.

    Arrays are read-only and may look at `binary`, which they keep alive. Raises BadTensor.
    """
    tensors = []
    for one, raw in raw_of_each(describe_all(entries, limits), binary):
        tensors.append(Tensor(one.name, from_data(one) if one.data is not None else from_raw(one, raw), one.parameters))
    return tuple(tensors)


def raw_of_each(all_of_them: Iterable[Described], binary: memoryview) -> list[tuple[Described, memoryview]]:
    """The raw bytes that belong to each, in order; raises BadTensor when they are fewer or more than there are."""
    pairs = []
    at = 0
    for one in all_of_them:
        if one.data is not None and one.binary_bytes:
            raise BadTensor(f"{one.name}: values both in the JSON and behind it")
        if one.binary_bytes > len(binary) - at:
            raise BadTensor(f"{one.name}: {one.binary_bytes} raw bytes, but {len(binary) - at} are left")
        pairs.append((one, binary[at : at + one.binary_bytes]))
        at += one.binary_bytes
    if at != len(binary):
        raise BadTensor(f"{len(binary) - at} raw bytes belong to no tensor")
    return pairs


def written(tensor: Tensor, *, binary: bool = True) -> tuple[dict[str, Any], bytes]:
    """A tensor as its JSON description and the raw bytes that belong behind the JSON, if any; raises BadTensor."""
    entry: dict[str, Any] = {
        "name": tensor.name,
        "datatype": datatype_of(tensor.array),
        "shape": list(tensor.array.shape),
    }
    raw = to_raw(tensor.array) if binary else b""
    parameters = dict(tensor.parameters)
    if binary:
        parameters["binary_data_size"] = len(raw)
    else:
        entry["data"] = to_data(tensor.array)
    if parameters:
        entry["parameters"] = parameters
    return entry, raw


def joined(document: Mapping[str, Any], raw: Iterable[bytes]) -> tuple[bytes, int]:
    """A message: JSON, then raw bytes; and the length of the JSON."""
    header = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    return b"".join((header, *raw)), len(header)
