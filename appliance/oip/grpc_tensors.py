"""Tensors in the messages of gRPC: raw bytes, or values in the field of their type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from appliance.questions.question import Refused
from appliance.questions.tensors import (
    DTYPES,
    BadTensor,
    Described,
    Limits,
    Tensor,
    checked_shape,
    datatype_of,
    from_raw,
    in_steps,
    to_raw,
)
from engines.engine import Array

FIELDS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Where the values of a type are. There is none for FP16."""

_WIDE = {"int_contents": np.dtype(np.int32), "uint_contents": np.dtype(np.uint32)}
"""Fields that several types share."""


def read(entries: Any, raws: Any, limits: Limits) -> tuple[Tensor, ...]:
    """The tensors of a request, or of a response; raises BadTensor. Arrays are read-only and may look at `raws`."""
    if len(entries) > limits.tensors:
        raise BadTensor(f"at most {limits.tensors} tensors, not {len(entries)}")
    if raws and len(raws) != len(entries):
        raise BadTensor(f"{len(raws)} raw contents for {len(entries)} tensors")
    if len({entry.name for entry in entries}) != len(entries):
        raise BadTensor("two tensors have the same name")
    tensors = []
    for number, entry in enumerate(entries):
        one = _described(entry, limits)
        if raws and entry.contents.ListFields():  # MLServer sends empty contents beside raw ones
            raise BadTensor(f"{one.name}: values both in contents and raw")
        array = from_raw(one, raws[number]) if raws else _from_contents(one, entry.contents)
        tensors.append(Tensor(one.name, array, {}))
    return tuple(tensors)


def _described(entry: Any, limits: Limits) -> Described:
    if not 0 < len(entry.name) <= limits.name_chars:
        raise BadTensor(f"a tensor without a name of at most {limits.name_chars} characters")
    if entry.datatype not in DTYPES:
        raise BadTensor(f"{entry.name}: datatype {entry.datatype[:40]!r}; expected one of {', '.join(DTYPES)}")
    for name in entry.parameters:
        if name.startswith("shared_memory"):
            raise Refused("malformed", f"{entry.name}: shared memory is not offered; send the values")
    return Described(entry.name, entry.datatype, checked_shape(entry.name, list(entry.shape), limits), {})


def _from_contents(one: Described, contents: Any) -> Array:
    field = FIELDS.get(one.datatype)
    if field is None:
        raise BadTensor(f"{one.name}: {one.datatype} can only be sent as raw contents")
    filled = [descriptor.name for descriptor, _ in contents.ListFields()]
    if filled not in ([field], []):
        raise BadTensor(f"{one.name}: values in {', '.join(filled)}; those of {one.datatype} belong into {field}")
    values = getattr(contents, field)
    if len(values) != one.elements:
        raise BadTensor(f"{one.name}: {len(values)} values for shape {list(one.shape)}")
    dtype = DTYPES[one.datatype]
    array = in_steps(values, _WIDE.get(field, dtype))
    if array.dtype != dtype:
        info = np.iinfo(dtype)
        if array.size and not info.min <= int(array.min()) <= int(array.max()) <= info.max:
            raise BadTensor(f"{one.name}: a number too large for {one.datatype}")
        array = array.astype(dtype)
    array = array.reshape(one.shape)
    array.flags.writeable = False
    return array


def write(tensors: tuple[Tensor, ...], entries: Any, raws: Any) -> None:
    """Add tensors to a message, raw; raises BadTensor for a type the protocol does not know."""
    for tensor in tensors:
        entries.add(name=tensor.name, datatype=datatype_of(tensor.array), shape=tensor.array.shape)
        raws.append(to_raw(tensor.array))
