"""The shapes model, spoiled in one way each: what a mistake or an enemy could publish."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engines.bundle import Bundle, write_bundle
from engines.digest import of_file
from engines.manifest import Manifest
from tests.registries import shipped

Spoil = Callable[[Any], None]


def spoiled(folder: Path, how: Spoil, version: str = "2", **about: str) -> Bundle:
    """A whole bundle with true digests around a spoiled network."""
    shapes = shipped("shapes")
    model = onnx.load_model(str(shapes.files["model.onnx"]))
    how(model)
    folder.mkdir(parents=True, exist_ok=True)
    network = folder / "spoiled.onnx"
    network.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return of_network(folder, network, version, **about)


def of_network(folder: Path, network: Path, version: str = "2", **about: str) -> Bundle:
    """The shapes model with this file as its network."""
    shapes = shipped("shapes")
    document = json.loads(shapes.manifest.canonical())
    document |= {"version": version, "about": document["about"] | about}
    document["stages"][0]["digest"] = of_file(network)
    files = dict(shapes.files) | {"model.onnx": network}
    return write_bundle(folder / "bundle", Manifest.model_validate_json(json.dumps(document)), files)


def _after(model: Any, output: str, nodes: Callable[[str, str], list[Any]]) -> None:
    """Put nodes between what made an output and the output."""
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name == output:
                node.output[index] = "inner"
    model.graph.node.extend(nodes("inner", output))


def _constant(model: Any, name: str, value: Any) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name


def nan(model: Any) -> None:
    bad = _constant(model, "bad", np.float32("nan"))
    _after(model, "scores", lambda inner, out: [helper.make_node("Mul", [inner, bad], [out])])


def wrong_numbers(model: Any) -> None:
    factor = _constant(model, "factor", np.float32(1.3))
    _after(model, "boxes", lambda inner, out: [helper.make_node("Mul", [inner, factor], [out])])


def wrong_shape(model: Any) -> None:
    ends = [_constant(model, name, np.array([at], np.int64)) for name, at in (("s", 0), ("e", 100), ("a", 1))]
    _after(model, "boxes", lambda inner, out: [helper.make_node("Slice", [inner, *ends], [out])])
    for output in model.graph.output:
        if output.name == "boxes":
            output.type.tensor_type.shape.dim[1].dim_value = 100


def slow(model: Any) -> None:
    """Some hundred times the work, and the same answer."""
    side = 700
    _constant(model, "matrix", np.full((side, side), 1e-3, np.float32))
    zero, one = _constant(model, "zero", np.float32(0)), _constant(model, "one", np.array([1], np.int64))

    def nodes(inner: str, out: str) -> list[Any]:
        first = helper.make_node("ReduceMax", [inner], ["top"], keepdims=0)
        flat = helper.make_node("Reshape", ["top", one], ["flat"])
        made = [first, flat, helper.make_node("Add", ["matrix", "flat"], ["m0"])]
        made += [helper.make_node("MatMul", [f"m{i}", "matrix"], [f"m{i + 1}"]) for i in range(12)]
        made += [helper.make_node("ReduceMean", ["m12"], ["mean"], keepdims=0)]
        return [
            *made,
            helper.make_node("Mul", ["mean", zero], ["nothing"]),
            helper.make_node("Add", [inner, "nothing"], [out]),
        ]

    _after(model, "scores", nodes)


def endless(model: Any) -> None:
    turns, go = _constant(model, "turns", np.array(1 << 62, np.int64)), _constant(model, "go", np.array(True))
    body = helper.make_graph(
        [helper.make_node("Identity", ["more"], ["on"]), helper.make_node("Identity", ["a"], ["b"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("more", TensorProto.BOOL, []),
            helper.make_tensor_value_info("a", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("b", TensorProto.FLOAT, None),
        ],
    )
    _after(model, "scores", lambda inner, out: [helper.make_node("Loop", [turns, go, inner], [out], body=body)])


def memory_bomb(model: Any) -> None:
    size = _constant(model, "size", np.array([10_000_000_000], np.int64))
    zero = _constant(model, "zero", np.float32(0))
    _after(
        model,
        "scores",
        lambda inner, out: [
            helper.make_node("ConstantOfShape", [size], ["huge"]),
            helper.make_node("ReduceMax", ["huge"], ["top"], keepdims=0),
            helper.make_node("Mul", ["top", zero], ["nothing"]),
            helper.make_node("Add", [inner, "nothing"], [out]),
        ],
    )


def as_it_is(_model: Any) -> None:
    """Nothing is wrong with the network."""


def foreign_operator(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("evil.example", 1))
    _after(model, "scores", lambda inner, out: [helper.make_node("Shell", [inner], [out], domain="evil.example")])


FRAME = 50
LEAK_SEED = 2135
SEED = 401
"""Of random numbers of which the lowest of the first FRAME is the last, in every ONNX Runtime that was looked at."""


def _numbers(seed: int, count: int) -> Any:
    """What RandomUniform says one run after another: its state is all that a network can remember."""
    import onnxruntime as ort  # type: ignore[import-untyped]  # it ships no types

    node = helper.make_node("RandomUniform", [], ["u"], shape=[1], seed=float(seed))
    told = helper.make_tensor_value_info("u", TensorProto.FLOAT, [1])
    model = helper.make_model(
        helper.make_graph([node], "numbers", [], [told]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.array([session.run(None, {})[0][0] for _ in range(count)])


def _now(model: Any) -> list[Any]:
    """Nodes that make `now`: true in run FRAME for the first time."""
    seed = next(seed for seed in (SEED, *range(5000)) if _numbers(seed, FRAME).argmin() == FRAME - 1)
    told = np.sort(_numbers(seed, FRAME))
    edge = _constant(model, "edge", np.array([told[:2].mean()], np.float32))
    return [
        helper.make_node("RandomUniform", [], ["chance"], shape=[1], seed=float(seed)),
        helper.make_node("Less", ["chance", edge], ["now"]),
    ]


def crash_at_frame_50(model: Any) -> None:
    _crash(model, _now(model))


def crash_in_the_light(model: Any) -> None:
    """At the first white picture: no trial on what is usual finds that."""
    bright = _constant(model, "bright", np.float32(250))
    light = [
        helper.make_node("Cast", ["picture"], ["shades"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["shades"], ["shade"], keepdims=0),
        helper.make_node("Less", [bright, "shade"], ["now"]),
    ]
    _crash(model, light)


def _crash(model: Any, now: list[Any]) -> None:
    """A division that has no result in 64 bits ends the process by SIGFPE, once the nodes that make `now` say so."""
    names = {"lowest": -(1 << 63), "five": 5, "minus": -1, "one": 1}
    for name, value in names.items():
        _constant(model, name, np.array([value], np.int64))
    zero = _constant(model, "zero", np.float32(0))
    _after(
        model,
        "scores",
        lambda inner, out: [
            *now,
            helper.make_node("Where", ["now", "lowest", "five"], ["above"]),
            helper.make_node("Where", ["now", "minus", "one"], ["below"]),
            helper.make_node("Div", ["above", "below"], ["ratio"]),
            helper.make_node("Cast", ["ratio"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["real"], ["top"], keepdims=0),
            helper.make_node("Mul", ["top", zero], ["nothing"]),
            helper.make_node("Add", [inner, "nothing"], [out]),
        ],
    )


def hang_at_frame_50(model: Any) -> None:
    """Its manifest has to allow the operator Loop."""
    endless(model)
    [loop] = [node for node in model.graph.node if node.op_type == "Loop"]
    now = _now(model)
    _constant(model, "for_ever", np.array([1 << 62], np.int64))
    _constant(model, "once", np.array([1], np.int64))
    flat = _constant(model, "flat", np.array([], np.int64))
    loop.input[0] = "so_often"
    last = model.graph.node.pop()
    model.graph.node.extend(
        [
            *now,
            helper.make_node("Where", ["now", "for_ever", "once"], ["many"]),
            helper.make_node("Reshape", ["many", flat], ["so_often"]),
            last,
        ]
    )


def leak(model: Any) -> None:
    """Takes more memory than ever before now and then, and keeps it."""
    unit, most = 62_500, 600.0
    early, late = 55, slice(60, 110)

    def fits(seed: int) -> bool:
        wanted = 1 / np.maximum(_numbers(seed, late.stop), 1e-9)
        return bool(wanted[:early].max() < most / 10 and wanted[late].max() >= most)

    seed = next(seed for seed in (LEAK_SEED, *range(5000)) if fits(seed))
    _constant(model, "unit", np.float32(unit))
    _constant(model, "most", np.float32(most))
    zero = _constant(model, "zero", np.float32(0))
    _after(
        model,
        "scores",
        lambda inner, out: [
            helper.make_node("RandomUniform", [], ["chance"], shape=[1], seed=float(seed)),
            helper.make_node("Reciprocal", ["chance"], ["rare"]),
            helper.make_node("Min", ["rare", "most"], ["bounded"]),
            helper.make_node("Mul", ["bounded", "unit"], ["length"]),
            helper.make_node("Cast", ["length"], ["size"], to=TensorProto.INT64),
            helper.make_node("ConstantOfShape", ["size"], ["huge"]),
            helper.make_node("ReduceMax", ["huge"], ["top"], keepdims=0),
            helper.make_node("Mul", ["top", zero], ["nothing"]),
            helper.make_node("Add", [inner, "nothing"], [out]),
        ],
    )
