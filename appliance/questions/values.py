"""The values of tensors: from and to raw bytes, from and to JSON."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from appliance.questions.described import DTYPES, BadTensor, Described
from engines.engine import Array

STEP = 16_384
"""Numbers that Python hands to NumPy in one go."""
_LENGTH = struct.Struct("<I")
"""In front of every element of a BYTES tensor."""


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
            array = (
                in_steps(flat, np.dtype(np.float64)).astype(dtype) if dtype.kind == "f" else _whole_numbers(flat, dtype)
            )
    except OverflowError as e:
        raise BadTensor(f"{one.name}: a number too large for {one.datatype}") from e
    if dtype.kind == "f" and not np.isfinite(array).all():
        raise BadTensor(f"{one.name}: a number too large for {one.datatype}")
    return _frozen(array.reshape(one.shape))


def in_steps(values: Sequence[Any], dtype: np.dtype[Any]) -> Array:
    """Numbers as an array, a part after the other: nothing else of this process runs during each. Raises OverflowError
    and ValueError as NumPy does."""
    array = np.empty(len(values), dtype)
    for at in range(0, len(values), STEP):
        array[at : at + STEP] = values[at : at + STEP]
    return array


def _whole_numbers(flat: list[int], dtype: np.dtype[Any]) -> Array:
    """Raises OverflowError."""
    wide = in_steps(flat, np.dtype(np.uint64 if dtype.kind == "u" else np.int64))
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
