"""The trained network as two ONNX graphs of plain operators, batch normalisation folded into the convolutions."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from spoken_digits import spectrogram
from spoken_digits.network import BODIES, DEPTH, EDGE, SCALE, Recogniser, Residual
from spoken_digits.scenes import LABELS, WINDOW
from torch import nn

OPSET = 17
FRAMES = (WINDOW - spectrogram.FRAME) // spectrogram.STEP + 1
Weights = NDArray[np.float32]


class _Graph:
    """Collects nodes and constants; what adds a node returns the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, value: Any, dtype: type[np.generic] = np.float32) -> str:
        name = f"weights{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype), name))
        return name

    def convolution(self, given: str, convolution: nn.Conv2d, norm: nn.Module) -> str:
        """A convolution and the batch normalisation behind it."""
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_var is not None
        assert norm.running_mean is not None
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        weights = (convolution.weight * factor.view(-1, 1, 1, 1)).detach().numpy()
        bias = (norm.bias - norm.running_mean * factor).detach().numpy()
        rows, columns = (int(each) for each in convolution.padding)
        return self.add(
            "Conv",
            given,
            self.constant(weights),
            self.constant(bias),
            kernel_shape=list(convolution.kernel_size),
            strides=list(convolution.stride),
            pads=[rows, columns, rows, columns],
        )

    def residual(self, given: str, block: Residual) -> str:
        body, beside = list(block.body), list(block.shortcut)
        inner = self.add("Relu", self.convolution(given, body[0], body[1]))
        outer = self.convolution(inner, body[3], body[4])
        return self.add("Relu", self.add("Add", outer, self.convolution(given, beside[0], beside[1])))

    def model(self, name: str, given: tuple[str, list[int]], made: tuple[str, list[int]]) -> bytes:
        ends = [[helper.make_tensor_value_info(end, TensorProto.FLOAT, shape)] for end, shape in (given, made)]
        graph = helper.make_graph(self._nodes, name, ends[0], ends[1], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="appliance")
        model.ir_version = 8
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def spectrogram_graph() -> bytes:
    """`sound` (1, 16000) to `bands` (1, 1, 32, 79)."""
    graph = _Graph()
    # Pictures of one row: TensorRT knows convolutions along one axis less well.
    row = graph.add("Unsqueeze", "sound", graph.constant([1, 2], np.int64))
    filters = spectrogram.filters()[:, :, np.newaxis]
    waves = graph.add("Conv", row, graph.constant(filters), strides=[1, spectrogram.STEP])
    weights = spectrogram.mel_weights()[:, :, np.newaxis, np.newaxis]
    both = np.concatenate([weights, weights], axis=1)  # squares of the cosines, then those of the sines
    bands = graph.add("Conv", graph.add("Mul", waves, waves), graph.constant(both))
    logarithm = graph.add("Log", graph.add("Add", bands, graph.constant(spectrogram.FLOOR)))
    graph.add("Transpose", logarithm, perm=[0, 2, 1, 3], output="bands")
    return graph.model("spectrogram", ("sound", [1, WINDOW]), ("bands", [1, 1, spectrogram.BANDS, FRAMES]))


def recogniser_graph(network: Recogniser) -> bytes:
    """`bands` (1, 1, 32, 79) to `scores` (1, 12), which add up to 1."""
    graph = _Graph()
    frames = graph.add("ReduceMean", "bands", axes=[2], keepdims=1)
    loudest = graph.add("ReduceMax", frames, axes=[3], keepdims=1)
    above = graph.add("Max", graph.add("Sub", "bands", loudest), graph.constant(-DEPTH))
    edges = graph.constant([0, 0, 0, EDGE, 0, 0, 0, EDGE], np.int64)
    above = graph.add("Pad", above, edges, graph.constant(-DEPTH), mode="constant")
    level = graph.add("ReduceMean", above, axes=[2, 3], keepdims=1)
    values = graph.add("Mul", graph.add("Sub", above, level), graph.constant(SCALE))
    first, *others = (_body(graph, values, body) for body in network.bodies)
    graph.add(
        "Softmax", reduce(lambda sum_, each: graph.add("Add", sum_, each), others, first), axis=1, output="scores"
    )
    return graph.model("recogniser", ("bands", [1, 1, spectrogram.BANDS, FRAMES]), ("scores", [1, len(LABELS)]))


def _body(graph: _Graph, values: str, body: nn.Module) -> str:
    """The scores of one body, divided by the number of bodies: they are added up."""
    assert isinstance(body, nn.Sequential)
    layers = list(body)
    for layer, behind in zip(layers, [*layers[1:], None], strict=True):
        if isinstance(layer, nn.Conv2d):
            assert behind is not None
            values = graph.add("Relu", graph.convolution(values, layer, behind))
        elif isinstance(layer, Residual):
            values = graph.residual(values, layer)
        elif isinstance(layer, nn.Linear):
            values = graph.add("Flatten", values)
            weights, bias = (graph.constant(each.detach().numpy() / BODIES) for each in (layer.weight, layer.bias))
            values = graph.add("Gemm", values, weights, bias, transB=1)
    return values
