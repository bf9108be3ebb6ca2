"""Tensors as the Open Inference Protocol v2 writes them: described in JSON, their values there or as raw bytes.

The protocol: https://github.com/kserve/open-inference-protocol; raw bytes behind the JSON are Triton's "binary tensor
data extension". What comes in is somebody else's: shapes, types and sizes are checked before anything is allocated,
and nothing is larger than the bytes that came, but for numbers written out in JSON (`Limits.header_bytes`).
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

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
_LENGTH = struct.Struct("<I")
"""In front of every element of a BYTES tensor."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A name, values, and what else is said of them."""

    name: str
    array: Array
    """Of one of DTYPES; elements of object arrays are `bytes`."""
    parameters: Mapping[str, Scalar]


def datatype_of(array: Array) -> str:
    """The protocol's name of its type; raises BadTensor where it has none."""
    name = _NAMES.get(array.dtype.newbyteorder("<"))
    if name is None:
        raise BadTensor(f"the protocol has no tensors of {array.dtype}")
    return name


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


def parse_object(text: bytes) -> dict[str, Any]:
    """A JSON object, UTF-8, without NaN and infinities; raises BadTensor."""
    try:
        document = json.loads(text.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as e:
        raise BadTensor(f"not JSON: {e}") from e
    if not isinstance(document, dict):
        raise BadTensor("not a JSON object")
    return document


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


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


def read(entries: object, binary: memoryview, limits: Limits) -> tuple[Tensor, ...]:
    """`inputs` or `outputs` of a message and the raw bytes behind its JSON, all of which must be used.

    Arrays are read-only and may look at `binary`, which they keep alive. Raises BadTensor.
    """
    tensors = []
    for one, raw in raw_of_each(describe_all(entries, limits), binary):
        tensors.append(Tensor(one.name, from_data(one) if one.data is not None else from_raw(one, raw), one.parameters))
    return tuple(tensors)


def describe_all(entries: object, limits: Limits) -> tuple[Described, ...]:
    """The descriptions of all tensors of a message; raises BadTensor."""
    if not isinstance(entries, list) or len(entries) > limits.tensors:
        raise BadTensor(f"tensors must come as a list of at most {limits.tensors}")
    all_of_them = tuple(described(entry, limits) for entry in entries)
    if len({one.name for one in all_of_them}) != len(all_of_them):
        raise BadTensor("two tensors have the same name")
    return all_of_them


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


def from_raw(one: Described, raw: bytes | memoryview) -> Array:
    """Values from raw bytes: little-endian, row-major; read-only, and a view of `raw` where that can be."""
    if one.datatype == "BYTES":
        return _frozen(_strings(one, memoryview(raw)))
    if len(raw) != one.raw_bytes:
        raise BadTensor(f"{one.name}: {one.datatype} {list(one.shape)} takes {one.raw_bytes} bytes, not {len(raw)}")
    dtype = DTYPES[one.datatype]
    if one.datatype == "BOOL":
        numbers = np.frombuffer(raw, np.uint8)
        if numbers.size and numbers.max() > 1:
            raise BadTensor(f"{one.name}: a BOOL that is neither 0 nor 1")
        return _frozen(numbers.view(np.bool_).reshape(one.shape))
    flat = np.frombuffer(raw, dtype)
    return _frozen((flat if flat.flags.aligned else flat.copy()).reshape(one.shape))


def _strings(one: Described, raw: memoryview) -> Array:
    """Each element is its length, four bytes, little-endian, and its bytes."""
    if one.elements * _LENGTH.size > len(raw):
        raise BadTensor(f"{one.name}: {len(raw)} bytes cannot hold {one.elements} BYTES elements")
    array = np.empty(one.elements, object)
    at = 0
    for number in range(one.elements):
        if at + _LENGTH.size > len(raw):
            raise BadTensor(f"{one.name}: its BYTES elements are cut off")
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        if length > len(raw) - at:
            raise BadTensor(f"{one.name}: a BYTES element of {length} bytes where {len(raw) - at} are left")
        array[number] = bytes(raw[at : at + length])
        at += length
    if at != len(raw):
        raise BadTensor(f"{one.name}: {len(raw) - at} bytes behind its last BYTES element")
    return array.reshape(one.shape)


def from_data(one: Described) -> Array:
    """Values from the JSON, flat or nested, each of the right kind and range; raises BadTensor."""
    flat = _flattened(one)
    if len(flat) != one.elements:
        raise BadTensor(f"{one.name}: {len(flat)} values for shape {list(one.shape)}")
    kinds = set(map(type, flat))
    if one.datatype == "BYTES":
        return _frozen(_texts(one, flat, kinds))
    if one.datatype == "BOOL":
        if not kinds <= {bool}:
            raise BadTensor(f"{one.name}: a BOOL that is neither true nor false")
        return _frozen(np.array(flat, np.bool_).reshape(one.shape))
    dtype = DTYPES[one.datatype]
    if not kinds <= ({int, float} if dtype.kind == "f" else {int}):
        raise BadTensor(f"{one.name}: a value that is no {one.datatype}")
    try:
        with np.errstate(over="ignore"):
            array = np.array(flat, np.float64).astype(dtype) if dtype.kind == "f" else _whole_numbers(flat, dtype)
    except OverflowError as e:
        raise BadTensor(f"{one.name}: a number too large for {one.datatype}") from e
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise BadTensor(f"{one.name}: a number too large for {one.datatype}")
    return _frozen(array.reshape(one.shape))


def _whole_numbers(flat: list[int], dtype: np.dtype[Any]) -> Array:
    """Raises OverflowError."""
    wide = np.array(flat, np.uint64 if dtype.kind == "u" else np.int64)
    info = np.iinfo(dtype)
    if wide.size and not info.min <= int(wide.min()) <= int(wide.max()) <= info.max:
        raise OverflowError
    return wide.astype(dtype)


def _flattened(one: Described) -> list[Any]:
    """The values in order. Lists of any depth are taken apart as the protocol allows; their lengths are not compared
    with the shape but by their product."""
    assert one.data is not None
    flat = one.data
    for _ in range(len(one.shape)):
        if not any(isinstance(value, list) for value in flat):
            return flat
        if not all(isinstance(value, list) for value in flat):
            raise BadTensor(f"{one.name}: values and lists side by side")
        flat = [value for inner in flat for value in inner]
    return flat


def _texts(one: Described, flat: Sequence[Any], kinds: set[type]) -> Array:
    if not kinds <= {str}:
        raise BadTensor(f"{one.name}: BYTES in JSON must be texts")
    array = np.empty(len(flat), object)
    try:
        array[:] = [text.encode() for text in flat]
    except UnicodeEncodeError as e:
        raise BadTensor(f"{one.name}: a text that is no Unicode: {e.reason}") from e
    return array.reshape(one.shape)


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array


def to_raw(array: Array) -> bytes:
    """Values as raw bytes: little-endian, row-major."""
    if array.dtype == object:
        return b"".join(_LENGTH.pack(len(element)) + element for element in array.flat)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def to_data(array: Array) -> list[Any]:
    """Values for the JSON, flat; raises BadTensor for what JSON cannot say: NaN, infinities, bytes that are no text."""
    if array.dtype == object:
        try:
            return [element.decode() for element in array.flat]
        except UnicodeDecodeError as e:
            raise BadTensor(f"bytes that are no UTF-8 cannot be JSON: ask for binary data ({e.reason})") from e
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadTensor("a value that is no number (NaN or infinite) cannot be JSON: ask for binary data")
    values: list[Any] = array.ravel().tolist()
    return values


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


def _shown(value: object, most: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}…"
