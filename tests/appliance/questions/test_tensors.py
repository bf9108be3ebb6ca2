"""Tensors in the protocol's two forms; what comes in is somebody else's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from appliance.questions.tensors import (
    DTYPES,
    BadTensor,
    Limits,
    Tensor,
    TooLarge,
    datatype_of,
    described,
    from_data,
    joined,
    parse_object,
    read,
    split,
    written,
)
from engines.engine import Array

LIMITS = Limits()


def _every_type() -> list[Array]:
    arrays: list[Array] = [
        np.array([[0, 1], [1, 2]], dtype) for name, dtype in DTYPES.items() if name not in ("BYTES", "BOOL")
    ]
    texts = np.array([b"one", b"", "zwölf".encode()], object)
    return [*arrays, np.array([True, False]), texts, np.zeros((0, 3), np.float32), np.float32(2.5).reshape(())]


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
@pytest.mark.parametrize("array", _every_type(), ids=lambda array: f"{array.dtype}{array.shape}")
def test_what_is_written_is_read(array: Array, binary: bool) -> None:
    entry, raw = written(Tensor("x", array, {"kept": "yes"}), binary=binary)
    body, header_bytes = joined({"inputs": [entry]}, [raw])
    document, rest = split(body, header_bytes, LIMITS)
    [tensor] = read(document["inputs"], rest, LIMITS)
    assert (tensor.array.dtype, tensor.array.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(tensor.array, array)
    assert tensor.parameters["kept"] == "yes"
    assert not tensor.array.flags.writeable


def test_a_big_endian_array_travels_little_endian() -> None:
    _, raw = written(Tensor("x", np.array([1], ">u2"), {}))
    assert raw == b"\x01\x00"


def test_a_nan_travels_as_bytes_and_not_as_json() -> None:
    array = np.array([np.nan], np.float32)
    assert written(Tensor("x", array, {}))[1]
    with pytest.raises(BadTensor, match="ask for binary data"):
        written(Tensor("x", array, {}), binary=False)


def test_a_type_the_protocol_lacks_is_named() -> None:
    with pytest.raises(BadTensor, match="complex128"):
        datatype_of(np.zeros(1, complex))


GOOD = {"name": "x", "datatype": "FP32", "shape": [2]}
WRONG_ENTRIES: dict[str, tuple[Any, str]] = {
    "no object": (3, "JSON object"),
    "no name": ({**GOOD, "name": ""}, "without a name"),
    "a name that is a number": ({**GOOD, "name": 7}, "without a name"),
    "a name without end": ({**GOOD, "name": "x" * 1000}, "without a name"),
    "no datatype": ({"name": "x", "shape": [2]}, "expected one of BOOL"),
    "a datatype nobody has": ({**GOOD, "datatype": "BF16"}, "BF16"),
    "a datatype that cannot be hashed": ({**GOOD, "datatype": []}, "expected one of"),
    "no shape": ({"name": "x", "datatype": "FP32"}, "list of at most 8"),
    "a shape of many axes": ({**GOOD, "shape": [1] * 9}, "list of at most 8"),
    "a size below zero": ({**GOOD, "shape": [-1]}, "other than sizes"),
    "a size that is a fraction": ({**GOOD, "shape": [1.5]}, "other than sizes"),
    "a size that is true": ({**GOOD, "shape": [True]}, "other than sizes"),
    "more than any message holds": ({**GOOD, "shape": [2**40, 2**40]}, "more than"),
    "many nothings": ({**GOOD, "shape": [0, 2**60]}, "more than"),
    "data that is no list": ({**GOOD, "data": 3}, "must be a list"),
    "parameters that are no object": ({**GOOD, "parameters": [1]}, "must be an object"),
    "parameters inside parameters": ({**GOOD, "parameters": {"a": {"b": 1}}}, "must be an object"),
    "a length below zero": ({**GOOD, "parameters": {"binary_data_size": -1}}, "no size"),
    "a length that is true": ({**GOOD, "parameters": {"binary_data_size": True}}, "no size"),
}


@pytest.mark.parametrize("name", WRONG_ENTRIES)
def test_a_wrong_description_is_refused_with_its_reason(name: str) -> None:
    entry, words = WRONG_ENTRIES[name]
    with pytest.raises(BadTensor, match=words):
        described(entry, LIMITS)


WRONG_VALUES: dict[str, tuple[str, list[int], Any, str]] = {
    "too few": ("FP32", [3], [1.0, 2.0], "2 values"),
    "lists beside values": ("FP32", [2], [[1.0], 2.0], "side by side"),
    "deeper than the shape": ("FP32", [1], [[[1.0]]], "no FP32"),
    "a text": ("FP32", [1], ["1"], "no FP32"),
    "null": ("FP32", [1], [None], "no FP32"),
    "true as a number": ("INT32", [1], [True], "no INT32"),
    "a fraction as a whole number": ("INT32", [1], [1.5], "no INT32"),
    "below the range": ("UINT8", [1], [-1], "too large"),
    "above the range": ("UINT8", [1], [256], "too large"),
    "far above any range": ("UINT64", [1], [2**70], "too large"),
    "a float beyond its type": ("FP32", [1], [1e300], "too large"),
    "a float beyond all": ("FP64", [1], [float("inf")], "too large"),
    "a whole number beyond all floats": ("FP64", [1], [10**400], "too large"),
    "a number as a truth": ("BOOL", [1], [1], "neither true nor false"),
    "a number as a text": ("BYTES", [1], [1], "must be texts"),
    "half a character": ("BYTES", [1], ["\ud800"], "no Unicode"),
}


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_wrong_values_are_refused_with_their_reason(name: str) -> None:
    datatype, shape, data, words = WRONG_VALUES[name]
    one = described({"name": "x", "datatype": datatype, "shape": shape, "data": data}, LIMITS)
    with pytest.raises(BadTensor, match=words):
        from_data(one)


def _entry(datatype: str, shape: list[int], size: int) -> dict[str, Any]:
    return {"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


WRONG_BYTES: dict[str, tuple[list[Any], bytes, str]] = {
    "fewer than said": ([_entry("FP32", [2], 8)], b"1234", "4 are left"),
    "more than said": ([_entry("UINT8", [1], 1)], b"12", "belong to no tensor"),
    "not what the shape takes": ([_entry("FP32", [2], 4)], b"1234", "takes 8 bytes"),
    "a truth that is 2": ([_entry("BOOL", [1], 1)], b"\x02", "neither 0 nor 1"),
    "both in JSON and behind it": ([_entry("UINT8", [1], 1) | {"data": [1]}], b"1", "both"),
    "the same name twice": ([_entry("UINT8", [1], 1)] * 2, b"12", "same name"),
    "an element beyond the end": ([_entry("BYTES", [1], 8)], b"\xff\xff\xff\xff1234", "element of 4294967295 bytes"),
    "elements that cannot be there": ([_entry("BYTES", [1000000], 4)], b"\0\0\0\0", "cannot hold"),
    "a length cut off": ([_entry("BYTES", [2], 9)], b"\x03\0\0\0abc\0\0", "cut off"),
    "something behind the last": ([_entry("BYTES", [1], 5)], b"\0\0\0\0x", "behind its last"),
}


@pytest.mark.parametrize("name", WRONG_BYTES)
def test_wrong_bytes_are_refused_with_their_reason(name: str) -> None:
    entries, raw, words = WRONG_BYTES[name]
    with pytest.raises(BadTensor, match=words):
        read(entries, memoryview(raw), LIMITS)


WRONG_JSON: dict[str, bytes] = {
    "nothing": b"",
    "a list": b"[]",
    "no UTF-8": b'{"a":"\xff"}',
    "NaN": b'{"a":NaN}',
    "minus infinity": b'{"a":-Infinity}',
    "a number of ten thousand digits": b'{"a":' + b"9" * 10_000 + b"}",
    "nested a hundred thousand times": b'{"a":' + b"[" * 100_000,
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("name", WRONG_JSON)
def test_what_is_no_json_object_is_refused(name: str) -> None:
    with pytest.raises(BadTensor):
        parse_object(WRONG_JSON[name])


@pytest.mark.parametrize("length", [0, -1, 100])
def test_a_header_must_lie_in_the_message(length: int) -> None:
    with pytest.raises(BadTensor):
        split(b"{}", length, LIMITS)


def test_limits_count_before_anything_is_read() -> None:
    small = Limits(body_bytes=100, header_bytes=10)
    with pytest.raises(TooLarge, match="at most 100"):
        split(b"x" * 101, 1, small)
    with pytest.raises(TooLarge, match="at most 10"):
        split(b"x" * 50, 11, small)
    with pytest.raises(BadTensor, match="at most 16"):
        read([GOOD] * 17, memoryview(b""), LIMITS)


def test_nested_and_flat_lists_mean_the_same() -> None:
    shape = {"name": "x", "datatype": "INT8", "shape": [2, 2]}
    nested = from_data(described(shape | {"data": [[1, 2], [3, 4]]}, LIMITS))
    np.testing.assert_array_equal(nested, from_data(described(shape | {"data": [1, 2, 3, 4]}, LIMITS)))


def test_a_message_is_json_and_then_bytes() -> None:
    entry, raw = written(Tensor("x", np.array([7], np.uint8), {}))
    body, header_bytes = joined({"inputs": [entry]}, [raw])
    assert json.loads(body[:header_bytes])["inputs"][0]["parameters"] == {"binary_data_size": 1}
    assert body[header_bytes:] == b"\x07"
