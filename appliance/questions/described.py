"""What a message says of a tensor before its values are looked at: name, type, shape, and what is allowed of each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from engines.engine import Array

Scalar: TypeAlias = bool | int | float | str

DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""By the protocol's names. BYTES are arrays of `bytes` objects. BF16 has no NumPy type and is not spoken here."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class BadTensor(ValueError):
    """What came is no message of tensors; the message says where and why."""


class TooLarge(BadTensor):
    """It is more than the limits allow."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message may hold."""

    body_bytes: int = 4 << 20
    """JSON and raw bytes together."""
    header_bytes: int = 64 << 10
    """The JSON; numbers written out in it take some sixteen times as much memory while they are read."""
    unpacked_bytes: int = 16 << 20
    """All tensors of a message together, once deflated and narrowed ones are what they were."""
    tensors: int = 16
    rank: int = 8
    name_chars: int = 256


@dataclass(frozen=True, slots=True)
class Described:
    """A tensor as the JSON describes it, checked by itself; its values are yet to be looked at."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: Mapping[str, Scalar]
    data: list[Any] | None = None
    """Values in the JSON, flat or nested; None: they are raw bytes."""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def raw_bytes(self) -> int | None:
        """Length of its raw values; None where it depends on them (BYTES)."""
        return None if self.datatype == "BYTES" else self.elements * DTYPES[self.datatype].itemsize

    @property
    def binary_bytes(self) -> int:
        """How many of the raw bytes behind the JSON are its own."""
        size = self.parameters.get("binary_data_size", 0)
        assert isinstance(size, int)
        return size


def datatype_of(array: Array) -> str:
    """The protocol's name of its type; raises BadTensor where it has none."""
    name = _NAMES.get(array.dtype.newbyteorder("<"))
    if name is None:
        raise BadTensor(f"the protocol has no tensors of {array.dtype}")
    return name


def described(entry: object, limits: Limits) -> Described:
    """One element of `inputs` or `outputs`; raises BadTensor."""
    if not isinstance(entry, dict):
        raise BadTensor("a tensor must be a JSON object with name, datatype and shape")
    name = entry.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= limits.name_chars:
        raise BadTensor(f"a tensor without a name of at most {limits.name_chars} characters")
    datatype = entry.get("datatype")
    if not isinstance(datatype, str) or datatype not in DTYPES:
        raise BadTensor(f"{name}: datatype {_shown(datatype)}; expected one of {', '.join(DTYPES)}")
    data = entry.get("data")
    if data is not None and not isinstance(data, list):
        raise BadTensor(f"{name}: data must be a list")
    shape = checked_shape(name, entry.get("shape"), limits)
    return Described(name, datatype, shape, _parameters(name, entry.get("parameters")), data)


def describe_all(entries: object, limits: Limits) -> tuple[Described, ...]:
    """The descriptions of all tensors of a message; raises BadTensor."""
    if not isinstance(entries, list) or len(entries) > limits.tensors:
        raise BadTensor(f"tensors must come as a list of at most {limits.tensors}")
    all_of_them = tuple(described(entry, limits) for entry in entries)
    if len({one.name for one in all_of_them}) != len(all_of_them):
        raise BadTensor("two tensors have the same name")
    return all_of_them


def checked_shape(name: str, shape: object, limits: Limits) -> tuple[int, ...]:
    """A shape that is one, and whose elements would fit into a message at all; raises BadTensor."""
    if not isinstance(shape, (list, tuple)) or len(shape) > limits.rank:
        raise BadTensor(f"{name}: shape must be a list of at most {limits.rank} sizes")
    if any(type(size) is not int or size < 0 for size in shape):
        raise BadTensor(f"{name}: shape {_shown(shape)} holds something other than sizes")
    if math.prod(shape) > limits.body_bytes or any(size > limits.body_bytes for size in shape):
        raise TooLarge(f"{name}: shape {_shown(shape)} is more than {limits.body_bytes} bytes hold")
    return tuple(shape)


def _parameters(name: str, given: object) -> dict[str, Scalar]:
    if given is None:
        return {}
    if not isinstance(given, dict) or any(not isinstance(value, (bool, int, float, str)) for value in given.values()):
        raise BadTensor(f"{name}: parameters must be an object of texts, numbers and booleans")
    size = given.get("binary_data_size", 0)
    if type(size) is not int or size < 0:
        raise BadTensor(f"{name}: binary_data_size {_shown(size)} is no size")
    return dict(given)


def _shown(value: object, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"
