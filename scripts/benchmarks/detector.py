"""A detector to measure with: laid out and as costly as the smallest YOLO of 2024, with seeded random weights.

What it finds means nothing. What it costs is real: 2.3 million weights, 6.2 billion operations for a picture of
640 x 640, and some tens of boxes over the threshold, which is what decoding is paid for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

CLASSES = 80
BINS = 16
"""Each side of a box is the mean of a distribution over so many distances."""
STRIDES = (8, 16, 32)
INPUT, OUTPUT = "images", "output0"
THRESHOLD, IOU = 0.25, 0.45
OPSET, IR = 17, 8

_SWISH_GAIN = 1.677
"""Keeps the variance: x * sigmoid(x) of a unit normal x has a root mean square of 1 / 1.677."""


class Network:
    """Collects nodes and weights. Tensors are named by the strings that methods return."""

    def __init__(self, seed: int) -> None:
        self.operations = 0
        """Multiplications and additions for one picture."""
        self.weights: dict[str, Array] = {}
        self.nodes: list[Any] = []
        self.sides: dict[str, int] = {}
        """Height and width of a tensor of pictures."""
        self.channels: dict[str, int] = {}
        self._random = np.random.default_rng(seed)

    def node(self, kind: str, inputs: Sequence[str], name: str = "", **attributes: Any) -> str:
        """Any operator with one output of the size of its first input."""
        name = name or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        if inputs[0] in self.channels:
            self.channels[name], self.sides[name] = self.channels[inputs[0]], self.sides[inputs[0]]
        return name

    def constant(self, name: str, value: Array) -> str:
        self.weights[name] = value
        return name

    def conv(
        self, x: str, out: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False, swish: bool = True
    ) -> str:
        """Convolution with bias, and x * sigmoid(x) unless it is the last of a branch."""
        groups = self.channels[x] if depthwise else 1
        shape = (out, self.channels[x] // groups, kernel, kernel)
        fan_in = math.prod(shape[1:])
        weight = self._random.standard_normal(shape)
        if not depthwise:
            # Inputs are mostly positive: without the mean, what they have in common does not drown where they differ.
            weight -= weight.mean(axis=(1, 2, 3), keepdims=True)
        weight *= _SWISH_GAIN / math.sqrt(fan_in)
        name = f"conv{len(self.nodes)}"
        inputs = [x, self.constant(f"{name}.weight", weight.astype(np.float32))]
        inputs.append(self.constant(f"{name}.bias", np.zeros(out, np.float32)))
        y = self.node("Conv", inputs, name, strides=[stride] * 2, pads=[kernel // 2] * 4, group=groups)
        self.channels[y], self.sides[y] = out, -(-self.sides[x] // stride)
        self.operations += 2 * math.prod(shape) * self.sides[y] ** 2
        return self.node("Mul", [y, self.node("Sigmoid", [y])]) if swish else y

    def concat(self, parts: Sequence[str]) -> str:
        y = self.node("Concat", parts, axis=1)
        self.channels[y] = sum(self.channels[part] for part in parts)
        return y

    def block(self, x: str, out: int, inner: float) -> str:
        """Two branches, of which one goes through a residual pair of convolutions."""
        half = int(out * inner)
        both = self.conv(x, 2 * half)
        left, right = self._halves(both, half)
        deep = self.conv(self.conv(right, max(half // 2, 8), 3), half, 3)
        return self.conv(self.concat([left, right, self.node("Add", [right, deep])]), out)

    def _halves(self, x: str, half: int) -> tuple[str, str]:
        name = f"split{len(self.nodes)}"
        names = (f"{name}.left", f"{name}.right")
        sizes = self.constant(f"{name}.sizes", np.array([half, half], np.int64))
        self.nodes.append(helper.make_node("Split", [x, sizes], list(names), axis=1))
        for each in names:
            self.channels[each], self.sides[each] = half, self.sides[x]
        return names

    def pool(self, x: str, out: int) -> str:
        """Three maxima over ever larger neighbourhoods."""
        parts = [self.conv(x, out // 2)]
        for _ in range(3):
            parts.append(self.node("MaxPool", [parts[-1]], kernel_shape=[5, 5], pads=[2] * 4, strides=[1, 1]))
        return self.conv(self.concat(parts), out)

    def twice(self, x: str) -> str:
        """Doubled in height and width."""
        scales = self.constant(f"scales{len(self.nodes)}", np.array([1, 1, 2, 2], np.float32))
        y = self.node("Resize", [x, "", scales], mode="nearest", nearest_mode="floor")
        self.sides[y] = 2 * self.sides[x]
        return y


def build(size: int, seed: int = 0) -> Network:
    """All of it but the bias of the class scores, for pictures of `size` x `size`; `size` is a multiple of 32."""
    network = Network(seed)
    network.channels[INPUT], network.sides[INPUT] = 3, size
    x = network.conv(network.conv(INPUT, 16, 3, 2), 32, 3, 2)
    x = network.block(x, 64, 0.25)
    p3 = network.block(network.conv(x, 64, 3, 2), 128, 0.25)
    p4 = network.block(network.conv(p3, 128, 3, 2), 128, 0.5)
    p5 = network.pool(network.block(network.conv(p4, 256, 3, 2), 256, 0.5), 256)
    n4 = network.block(network.concat([network.twice(p5), p4]), 128, 0.5)
    n3 = network.block(network.concat([network.twice(n4), p3]), 64, 0.5)
    m4 = network.block(network.concat([network.conv(n3, 64, 3, 2), n4]), 128, 0.5)
    m5 = network.block(network.concat([network.conv(m4, 128, 3, 2), p5]), 256, 0.5)
    _head(network, [n3, m4, m5])
    return network


def _head(network: Network, levels: Sequence[str]) -> None:
    """(1, 4 + classes, boxes): centre and size in input pixels, then a score for each class."""
    distances, scores = [], []
    for level in levels:
        cells = network.sides[level] ** 2
        box = network.conv(network.conv(network.conv(level, 64, 3), 64, 3), 4 * BINS, swish=False)
        score = level
        for _ in range(2):
            spread = network.conv(score, network.channels[score], 3, depthwise=True)
            score = network.conv(spread, CLASSES)
        score = network.conv(score, CLASSES, swish=False)
        distances.append(_reshaped(network, box, [1, 4 * BINS, cells]))
        scores.append(_reshaped(network, score, [1, CLASSES, cells]))
    sides = [network.sides[level] for level in levels]
    logits = network.node("Concat", scores, "logits", axis=2)
    boxes = _boxes(network, network.node("Concat", distances, axis=2), sides)
    network.node("Concat", [boxes, network.node("Sigmoid", [logits])], OUTPUT, axis=1)


def _reshaped(network: Network, x: str, shape: Sequence[int]) -> str:
    name = f"shape{len(network.nodes)}"
    return network.node("Reshape", [x, network.constant(name, np.array(shape, np.int64))])


def _boxes(network: Network, distances: str, sides: Sequence[int]) -> str:
    """From a distribution over the distance of each side to centre and size."""
    count = sum(side**2 for side in sides)
    bins = _reshaped(network, distances, [1, 4, BINS, count])
    shares = network.node("Softmax", [network.node("Transpose", [bins], perm=[0, 2, 1, 3])], axis=1)
    steps = network.constant("distances", np.arange(BINS, dtype=np.float32).reshape(1, BINS, 1, 1))
    mean = _reshaped(network, network.node("Conv", [shares, steps], kernel_shape=[1, 1]), [1, 4, count])
    halves = network.constant("halves", np.array([2, 2], np.int64))
    network.nodes.append(helper.make_node("Split", [mean, halves], ["before", "after"], axis=1))
    anchors, strides = _anchors(sides)
    network.constant("anchors", anchors)
    upper = network.node("Sub", ["anchors", "before"])
    lower = network.node("Add", ["anchors", "after"])
    two = network.constant("two", np.array(2, np.float32))
    centre = network.node("Div", [network.node("Add", [upper, lower]), two])
    box = network.node("Concat", [centre, network.node("Sub", [lower, upper])], axis=1)
    return network.node("Mul", [box, network.constant("strides", strides)])


def _anchors(sides: Sequence[int]) -> tuple[Array, Array]:
    """Centres of all cells, (1, 2, n) in cells, and the size of a cell, (1, 1, n) in input pixels."""
    centres, strides = [], []
    for side, stride in zip(sides, STRIDES, strict=True):
        y, x = np.mgrid[:side, :side].reshape(2, -1) + 0.5
        centres.append(np.stack([x, y]))
        strides.append(np.full((1, side**2), stride))
    return (
        np.concatenate(centres, axis=1)[np.newaxis].astype(np.float32),
        np.concatenate(strides, axis=1)[np.newaxis].astype(np.float32),
    )


def write(path: Path, size: int, tensors: Sequence[Array], candidates: int) -> Network:
    """Write the detector, so that `candidates` boxes of the middle one of `tensors` reach the threshold.

    `tensors`: prepared pictures, float32 (1, 3, size, size) of 0 to 1.
    """
    network = build(size)
    heads = [node.input[1] for node in network.nodes if node.op_type == "Conv" and _is_last_of_scores(network, node)]
    _save(path, network, size, output="logits")
    logits = [_run(path, tensor)[0] for tensor in tensors]
    gain = 1.5 / float(np.std(logits))
    cuts = [np.partition(each.max(axis=0), -candidates)[-candidates] for each in logits]
    bias = math.log(THRESHOLD / (1 - THRESHOLD)) - gain * float(np.median(cuts))
    for weight in heads:
        network.weights[weight] *= np.float32(gain)
        network.weights[weight.replace(".weight", ".bias")] += np.float32(bias)
    _save(path, network, size, output=OUTPUT)
    return network


def _is_last_of_scores(network: Network, node: Any) -> bool:
    """No swish follows, and it has a row for each class."""
    weight = network.weights[node.input[1]]
    used_by = {other.op_type for other in network.nodes if node.output[0] in other.input}
    return len(weight) == CLASSES and used_by == {"Reshape"}


def _run(path: Path, tensor: Array) -> Array:
    import onnxruntime  # type: ignore[import-untyped]  # it ships no types

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {INPUT: tensor})[0])


def _save(path: Path, network: Network, size: int, output: str) -> None:
    count = sum((size // stride) ** 2 for stride in STRIDES)
    rows = CLASSES if output == "logits" else 4 + CLASSES
    nodes = _needed(network.nodes, output)
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, rows, count])],
        initializer=[numpy_helper.from_array(array, name) for name, array in network.weights.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.save(model, str(path))


def _needed(nodes: Sequence[Any], output: str) -> list[Any]:
    """The nodes that `output` depends on, in order."""
    wanted, needed = {output}, []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            needed.append(node)
    return needed[::-1]
