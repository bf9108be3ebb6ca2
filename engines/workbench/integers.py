"""One network in 8-bit integers, with any of its layers left in floats."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from engines.engine import Tensors
from engines.workbench.graph import Graph, uses
from engines.workbench.prepared import prepared
from engines.workbench.ranges import ranges
from engines.workbench.weights import weights_in_integers
from engines.workbench.work import WorkbenchError

HEAVY = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Where the time goes, and where the weights are."""
BETWEEN = (
    *("MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "Concat", "Split", "Reshape", "Transpose"),
    *("Add", "Mul", "Sigmoid", "Relu", "Clip", "LeakyRelu", "HardSigmoid", "Pad"),
)
"""Taken along where another heavy layer follows, so that integers need not become floats on the way."""


class Integers:
    """Calibrated once; `write` then makes a network in a moment."""

    def __init__(self, graph: Graph, engine: str, inputs: Sequence[Tensors], folder: Path, method: str) -> None:
        """`engine`: `tensorrt` gets symmetric signed integers (S8S8), all others U8S8. `inputs`: what the network is
        given. `folder`: for temporary files. Raises WorkbenchError when the network cannot be prepared."""
        self._symmetric = engine == "tensorrt"
        self._folder = folder
        self._model = prepared(graph, folder)
        self._between = _taken_along(self._model)
        self.heavy = [each.name for each in self._model.graph.node if _is_heavy(self._model, each)]
        """Names of the layers that can be quantised."""
        self._ranges = self._calibrated(inputs, method) if self.heavy else None

    def _calibrated(self, inputs: Sequence[Tensors], method: str) -> Any:
        path = self._folder / "prepared.onnx"
        _save(self._model, path)
        try:
            kinds = [*HEAVY, *BETWEEN]
            return ranges(path, inputs, method, kinds, symmetric=self._symmetric, folder=self._folder)
        finally:
            path.unlink(missing_ok=True)

    def _between_but(self, leave: Sequence[str]) -> list[str]:
        """What is taken along, without what lies next to a layer that is left in floats: its tensors stay exact."""
        exact: set[str] = set()
        by_name = {node.name: node for node in self._model.graph.node}
        for name in leave:
            exact.update((*by_name[name].input, *by_name[name].output))
        chosen = list(self._between)
        while touching := [n for n in chosen if exact & {*by_name[n].input, *by_name[n].output}]:
            for name in touching:
                exact.update((*by_name[name].input, *by_name[name].output))
            chosen = [name for name in chosen if name not in touching]
        return chosen

    def write(self, path: Path, *, leave: Sequence[str] = (), only: str | None = None, between: bool = True) -> None:
        """The network with every layer in integers but those to `leave`, or with this `only` layer so.

        `between`: take along what lies between heavy layers. Which is faster depends on the network: on one of
        depthwise convolutions and shuffles (FastestDet) 1.33 of the time of floats with, 1.10 without; on plain
        convolutions (UltraFace) 0.56 and 0.58 (2 cores, U8S8).
        """
        import onnx

        quantization = importlib.import_module("onnxruntime.quantization")
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        chosen = (
            [only]
            if only is not None
            else [name for name in (*self.heavy, *(self._between_but(leave) if between else ())) if name not in leave]
        )
        if not chosen:  # none would mean all to ONNX Runtime
            raise WorkbenchError("every layer was to be left in floats: there is nothing to quantise")
        kind = quantization.QuantType
        quantizer = quantization.QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=False,
            weight_qType=kind.QInt8,
            activation_qType=kind.QInt8 if self._symmetric else kind.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=chosen,
            nodes_to_exclude=[],
            op_types_to_quantize=[*HEAVY, *BETWEEN],
            extra_options=_TENSORRT if self._symmetric else {"WeightSymmetric": True},
        )
        try:
            quantizer.quantize_model()
        except Exception as error:  # ONNX Runtime raises many types; this is the border
            raise WorkbenchError(f"the network cannot be quantised: {error}") from error
        _save(_with_short_names(quantizer.model.model), path)

    def write_weights(self, path: Path) -> None:
        """The network with weights in integers and everything else in floats."""
        _save(_with_short_names(weights_in_integers(self._model)), path)


_TENSORRT = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "DedicatedQDQPair": True,
}
"""What TensorRT's explicit quantisation takes: no zero points, float biases, a pair of nodes of its own for every
consumer (docs.nvidia.com/deeplearning/tensorrt, "Working with quantized types")."""


def _with_short_names(model: Any) -> Any:
    """Without what only people and tools read: a third of a small network is names and shapes."""
    graph = model.graph
    kept = {each.name for each in (*graph.input, *graph.output)}
    free = (name for number in count() if (name := f"_{number:x}") not in kept)
    short: dict[str, str] = {}

    def named(name: str) -> str:
        if not name or name in kept:
            return name
        if name not in short:
            short[name] = next(free)
        return short[name]

    if any(attribute.HasField("g") or attribute.graphs for node in graph.node for attribute in node.attribute):
        return model  # bodies use names from outside
    del graph.value_info[:]
    for node in graph.node:
        node.name, node.doc_string = "", ""
        node.input[:] = [named(name) for name in node.input]
        node.output[:] = [named(name) for name in node.output]
    for weight in graph.initializer:
        weight.name = named(weight.name)
    return model


def _save(model: Any, path: Path) -> None:
    path.write_bytes(model.SerializeToString())


def _is_heavy(model: Any, node: Any) -> bool:
    """A product of two activations, without weights, is left alone: both would be rounded. So is one whose weights or
    bias have a shape that ONNX Runtime can run but not quantise channel by channel."""
    shapes = {each.name: tuple(each.dims) for each in model.graph.initializer}
    constant = [shapes[name] for name in node.input if name in shapes]
    if node.op_type == "MatMul" and any(len(shape) != 2 for shape in constant):
        return False
    if node.op_type == "Gemm" and any(node.input[2:]):
        weights, bias = (shapes.get(name, ()) for name in node.input[1:])
        if len(bias) != 1 or bias[0] not in weights:
            return False
    return node.op_type in HEAVY and bool(constant)


def _taken_along(model: Any) -> list[str]:
    """Names of nodes between heavy layers: before one and behind another. What comes behind the last heavy layer turns
    numbers into boxes and scores, and stays exact."""
    graph = Graph(model)
    heavy = [number for number, node in enumerate(graph.nodes) if node.op_type in HEAVY]
    before = {each for number in heavy for name in uses(graph.nodes[number]) for each in graph.before(name)}
    behind: set[str] = set()
    chosen = []
    for number, node in enumerate(graph.nodes):
        follows = any(name in behind for name in uses(node))
        if follows or number in heavy:
            behind.update(node.output)
        if follows and number in before and node.op_type in BETWEEN:
            chosen.append(node.name)
    return chosen
