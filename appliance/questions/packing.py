"""Tensors made smaller for the way: float32 as halves or bytes, deflated when that pays.

What was done stands in the parameters of the tensor, and `unpacked` undoes it:

- `of`: `FP32`, the type it had; an FP16 tensor is widened, a UINT8 tensor is (value - `zero_point`) * `scale`.
- `deflate`: true; its raw bytes are a zlib stream (RFC 1950) of the raw bytes that its shape and type ask for.
"""

from __future__ import annotations

import math
import zlib
from typing import Any, Literal, TypeAlias

import numpy as np

from appliance.questions.fields import number
from appliance.questions.tensors import (
    BadTensor,
    Described,
    Limits,
    Scalar,
    Tensor,
    TooLarge,
    from_data,
    from_raw,
    written,
)
from engines.engine import Array

Packing: TypeAlias = Literal["exact", "half", "byte"]
"""How float32 travels: as it is; as float16; as 256 steps between its least and its greatest value."""

DEFLATE_FROM_BYTES = 512
DEFLATE_PAYS = 0.9
"""Deflating costs time on both sides: it has to save a tenth."""
PROBE_BYTES = 4096
"""So much of a long tensor is tried first. Features of a convolution often do not deflate; to find that out from all of
300 kB takes 8 ms."""
HALF_MOST = float(np.finfo(np.float16).max)


def packed(name: str, array: Array, packing: Packing = "exact") -> tuple[dict[str, Any], bytes]:
    """A tensor as its JSON description and its raw bytes. Raises BadTensor for values that are no numbers, and for
    those too large for float16."""
    parameters: dict[str, Scalar] = {}
    if packing != "exact" and array.dtype == np.float32:
        array, parameters = _as_bytes(name, array) if packing == "byte" else _as_halves(name, array)
    entry, raw = written(Tensor(name, array, parameters))
    small = _deflated(raw)
    if small is None:
        return entry, raw
    entry["parameters"] |= {"deflate": True, "binary_data_size": len(small)}
    return entry, small


def _deflated(raw: bytes) -> bytes | None:
    """None where it does not pay."""
    if len(raw) < DEFLATE_FROM_BYTES:
        return None
    if len(raw) >= 4 * PROBE_BYTES:
        middle = (len(raw) - PROBE_BYTES) // 2
        if len(zlib.compress(raw[middle : middle + PROBE_BYTES], 1)) >= DEFLATE_PAYS * PROBE_BYTES:
            return None
    small = zlib.compress(raw, 1)
    return small if len(small) < DEFLATE_PAYS * len(raw) else None


def _as_halves(name: str, array: Array) -> tuple[Array, dict[str, Scalar]]:
    if not (np.abs(array) <= HALF_MOST).all():
        raise BadTensor(f"{name}: a value that is no number or too large for float16")
    return array.astype(np.float16), {"of": "FP32"}


def _as_bytes(name: str, array: Array) -> tuple[Array, dict[str, Scalar]]:
    if not array.size:
        return array.astype(np.uint8), {"of": "FP32", "scale": 1.0, "zero_point": 0.0}
    least, most = float(array.min()), float(array.max())
    if not math.isfinite(least) or not math.isfinite(most):
        raise BadTensor(f"{name}: a value that is no number")
    scale = (most - least) / 255 or 1.0
    steps = np.rint((array - np.float64(least)) / scale).astype(np.uint8)
    return steps, {"of": "FP32", "scale": scale, "zero_point": -least / scale}


def unpacked(one: Described, raw: memoryview, room_bytes: int) -> Array:
    """The values of a tensor as they were before `packed`, within what its packing keeps; read-only.

    `room_bytes`: most memory it may take. Raises BadTensor, and TooLarge before anything is allocated.
    """
    kind = _packing(one)
    needed = one.raw_bytes if one.raw_bytes is not None else one.binary_bytes
    wide = needed if kind == "exact" else 4 * one.elements
    if max(needed, wide) > room_bytes:
        raise TooLarge(f"{one.name}: unpacked it takes {max(needed, wide)} bytes; {room_bytes} are left")
    if one.data is not None:
        array = from_data(one)
    else:
        array = from_raw(one, _inflated(one, raw, needed) if one.parameters.get("deflate") is True else raw)
    if kind == "exact":
        return array
    if kind == "half":
        array = array.astype(np.float32)
    else:
        scale, zero = np.float64(one.parameters["scale"]), np.float64(one.parameters["zero_point"])
        with np.errstate(all="ignore"):
            array = ((array - zero) * scale).astype(np.float32)
    array.flags.writeable = False
    return array


def _packing(one: Described) -> Packing:
    if "of" not in one.parameters:
        return "exact"
    if one.parameters["of"] != "FP32" or one.datatype not in ("FP16", "UINT8"):
        raise BadTensor(f"{one.name}: {one.datatype} of {one.parameters['of']} is no packing that is known here")
    if one.datatype == "FP16":
        return "half"
    for key in ("scale", "zero_point"):
        number(one.parameters, key)
    return "byte"


def _inflated(one: Described, raw: memoryview, needed: int) -> bytes:
    """Never more than it claims: what is longer or shorter is refused."""
    if one.datatype == "BYTES":
        raise BadTensor(f"{one.name}: BYTES do not travel deflated")
    stream = zlib.decompressobj()
    try:
        values = stream.decompress(raw, needed + 1)
    except zlib.error as e:
        raise BadTensor(f"{one.name}: not a zlib stream: {e}") from e
    if len(values) != needed or not stream.eof or stream.unused_data:
        raise BadTensor(f"{one.name}: its zlib stream does not hold the {needed} bytes of its shape")
    return values


def unpack_all(pairs: list[tuple[Described, memoryview]], limits: Limits) -> dict[str, Array]:
    """All tensors of a message by name; raises BadTensor."""
    room_bytes = limits.unpacked_bytes
    tensors = {}
    for one, raw in pairs:
        tensors[one.name] = array = unpacked(one, raw, room_bytes)
        room_bytes -= array.nbytes
    return tensors
