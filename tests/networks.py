"""Tiny networks with known answers, written as ONNX files by the tests that need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR = 8
"""What every ONNX Runtime we support can read."""

Shape: TypeAlias = Sequence[int | str | None]
Tensors: TypeAlias = Mapping[str, Shape]

TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def write(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    *,
    weights: Mapping[str, npt.NDArray[Any]] | None = None,
    metadata: Mapping[str, str] | None = None,
    opset: int = OPSET,
    ir: int = IR,
    domain: str | None = None,
) -> Path:
    """A network of these nodes."""
    initializers = [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "test", list(inputs), list(outputs), initializer=initializers)
    domains = [helper.make_opsetid("", opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
    model = helper.make_model(graph, opset_imports=domains, ir_version=ir)
    helper.set_model_props(model, dict(metadata or {}))
    onnx.save(model, str(path))
    return path


def tensor(name: str, shape: Shape, dtype: int = TensorProto.FLOAT) -> Any:
    """The declaration of an input or output; strings and None are sizes that may vary."""
    return helper.make_tensor_value_info(name, dtype, list(shape))


def double(path: Path) -> Path:
    """y = x + x; x is float32 of (any, 4)."""
    x, y = tensor("x", ["n", 4]), tensor("y", ["n", 4])
    return write(path, [helper.make_node("Add", ["x", "x"], ["y"])], [x], [y])


def endless(path: Path) -> Path:
    """Never comes to an answer by itself: a loop of 2**62 turns."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["a"], ["b"])],
        "body",
        [tensor("turn", [], TensorProto.INT64), tensor("go", [], TensorProto.BOOL), tensor("a", ["n", 4])],
        [tensor("on", [], TensorProto.BOOL), tensor("b", ["n", 4])],
    )
    return write(
        path,
        [helper.make_node("Loop", ["turns", "yes", "x"], ["y"], body=body)],
        [tensor("x", ["n", 4])],
        [tensor("y", ["n", 4])],
        weights={"turns": np.array(2**62, np.int64), "yes": np.array(True)},
    )


def memory_bomb(path: Path) -> Path:
    """A file of 200 bytes that asks for 400 TB."""
    return write(
        path,
        [helper.make_node("ConstantOfShape", ["shape"], ["y"])],
        [tensor("x", ["n", 4])],
        [tensor("y", [None])],
        weights={"shape": np.array([10**14], np.int64)},
    )


def unknown_operator(path: Path, domain: str | None = None) -> Path:
    """Uses an operator that nobody has."""
    node = helper.make_node("Frobnicate", ["x"], ["y"], domain=domain or "")
    return write(path, [node], [tensor("x", [1, 4])], [tensor("y", [1, 4])], domain=domain)


def external(path: Path, location: str = "weights.bin") -> Path:
    """y = x + w, with w = 1, 2, 3, 4 in a file of its own."""
    weight = numpy_helper.from_array(np.array([1, 2, 3, 4], np.float32), "w")
    onnx.external_data_helper.set_external_data(weight, location)
    data = path.parent / location
    data.write_bytes(weight.raw_data)
    weight.ClearField("raw_data")
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "test",
        [tensor("x", ["n", 4])],
        [tensor("y", ["n", 4])],
        initializer=[weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    path.write_bytes(model.SerializeToString())
    return path


def answering(
    path: Path,
    inputs: Tensors,
    outputs: Tensors,
    *,
    dtype: str = "float32",
    metadata: Mapping[str, str] | None = None,
    last: str = "Identity",
    state: Mapping[str, str] | None = None,
) -> Path:
    """A network of the given inputs and outputs, as far as their shapes tell: for recognition.

    Outputs are zeros, whatever comes in; sizes that may vary come out as 1. `dtype` is that of the first input,
    further ones are float32, `sr` is int64. `last` is the operator that makes each output. `state` names the input
    that an output repeats.
    """
    nodes: list[Any] = []
    weights: dict[str, npt.NDArray[Any]] = {}
    for name, shape in outputs.items():
        if state and name in state:
            nodes.append(helper.make_node("Identity", [state[name]], [name]))
            continue
        weights[f"{name} zeros"] = np.zeros([size if isinstance(size, int) else 1 for size in shape], np.float32)
        nodes.append(helper.make_node(last, [f"{name} zeros"], [name]))
    declared = []
    for position, (name, shape) in enumerate(inputs.items()):
        kind = TensorProto.INT64 if name == "sr" else TYPES[dtype] if position == 0 else TensorProto.FLOAT
        declared.append(tensor(name, shape, kind))
    return write(
        path,
        nodes,
        declared,
        [tensor(name, shape) for name, shape in outputs.items()],
        weights=weights,
        metadata=metadata,
    )


def convolution(path: Path) -> Path:
    """Eight channels to eight, 3 by 3: work enough for two threads. x and y are float32 of (1, 8, 64, 64)."""
    shape = [1, 8, 64, 64]
    return write(
        path,
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        [tensor("x", shape)],
        [tensor("y", shape)],
        weights={"w": np.full((8, 8, 3, 3), 0.01, np.float32)},
    )


def not_a_number(path: Path) -> Path:
    """Answers with NaN, whatever comes in: x is float32 of (1, 4), y of (1, 2)."""
    return write(
        path,
        [helper.make_node("Identity", ["nan"], ["y"])],
        [tensor("x", [1, 4])],
        [tensor("y", [1, 2])],
        weights={"nan": np.full((1, 2), np.nan, np.float32)},
    )
