"""Small networks that do something: for the workbench to take apart, shrink and explain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import helper

from engines.workbench.float16 import to_float16
from engines.workbench.graph import Graph
from tests.networks import tensor, write

SIZE = 32


def quadrant(path: Path) -> Path:
    """A classifier of 32x32 pictures (0 to 1) that looks at the upper right quarter only: bright or dark.

    `bright` is the mean of that quarter, `dark` is one minus it.
    """
    nodes = [
        helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["corner"]),
        helper.make_node("ReduceMean", ["corner"], ["bright"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["bright", "one"], ["column"]),
        helper.make_node("Sub", ["whole", "column"], ["dark"]),
        helper.make_node("Concat", ["column", "dark"], ["y"], axis=1),
    ]
    weights: dict[str, npt.NDArray[Any]] = {
        "starts": np.array([0, SIZE // 2], np.int64),
        "ends": np.array([SIZE // 2, SIZE], np.int64),
        "axes": np.array([2, 3], np.int64),
        "one": np.array([1], np.int64),
        "whole": np.array([[1]], np.float32),
    }
    return write(path, nodes, [tensor("x", [1, 3, SIZE, SIZE])], [tensor("y", [1, 2])], weights=weights)


def blob(path: Path) -> Path:
    """A detector of 32x32 pictures: one box in the middle, (8, 8) to (24, 24), that scores its mean brightness."""
    nodes = [
        helper.make_node("Slice", ["x", "starts", "ends", "axes"], ["middle"]),
        helper.make_node("ReduceMean", ["middle"], ["score"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["score", "shape"], ["column"]),
        helper.make_node("Concat", ["box", "column"], ["y"], axis=1),
    ]
    weights: dict[str, npt.NDArray[Any]] = {
        "starts": np.array([8, 8], np.int64),
        "ends": np.array([24, 24], np.int64),
        "axes": np.array([2, 3], np.int64),
        "shape": np.array([1, 1, 1], np.int64),
        "box": np.array([[[16], [16], [16], [16]]], np.float32),
    }
    return write(path, nodes, [tensor("x", [1, 3, SIZE, SIZE])], [tensor("y", [1, 5, 1])], weights=weights)


def with_short_cut(path: Path) -> Path:
    """y = (relu(-x) + x) . w: three nodes, and `x` goes around the first two."""
    nodes = [
        helper.make_node("Neg", ["x"], ["minus"]),
        helper.make_node("Relu", ["minus"], ["cut_off"]),
        helper.make_node("Mul", ["factor", "factor"], ["square"]),
        helper.make_node("Add", ["cut_off", "x"], ["sum"]),
        helper.make_node("Mul", ["sum", "square"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "w"], ["y"]),
    ]
    weights: dict[str, npt.NDArray[Any]] = {
        "factor": np.array([2.0], np.float32),
        "w": np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32),
    }
    return write(path, nodes, [tensor("x", ["n", 64])], [tensor("y", ["n", 3])], weights=weights)


def convolutions(path: Path, *, spread: float = 1.0, seed: int = 0, given: str = "x", channels: int = 3) -> Path:
    """A classifier of 32x32 pictures into four: four convolutions, a mean, a matrix product; random weights.

    `spread`: how much larger one channel between the first two convolutions is than the rest; the second evens it out.
    8-bit integers have nothing left for the others where it is large.
    """
    random = np.random.default_rng(seed)
    scale = np.ones(16)
    scale[0] = spread
    weights: dict[str, npt.NDArray[Any]] = {
        "first": (random.standard_normal((16, channels, 3, 3)) * 0.3 * scale[:, None, None, None]).astype(np.float32),
        "second": (random.standard_normal((32, 16, 3, 3)) * 0.1 / scale[None, :, None, None]).astype(np.float32),
        "third": (random.standard_normal((32, 32, 3, 3)) * 0.1).astype(np.float32),
        "fourth": (random.standard_normal((32, 32, 3, 3)) * 0.1).astype(np.float32),
        "last": (random.standard_normal((32, 4)) * 0.5).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", [given, "first"], ["a"], name="first conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"], name="second conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "third"], ["g"], name="third conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["g"], ["h"]),
        helper.make_node("Conv", ["h", "fourth"], ["i"], name="fourth conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["i"], ["j"]),
        helper.make_node("ReduceMean", ["j"], ["e"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["e", "last"], ["f"], name="last product"),
        helper.make_node("Softmax", ["f"], ["y"], axis=1),
    ]
    return write(path, nodes, [tensor(given, [1, channels, SIZE, SIZE])], [tensor("y", [1, 4])], weights=weights)


def half(path: Path) -> Path:
    """`convolutions` as an exporter writes it in 16-bit floats; its input and output are as before."""
    graph = Graph.load(convolutions(path))
    path.write_bytes(to_float16(graph).SerializeToString())
    return path


def powers(path: Path) -> Path:
    """32x32 pictures as the logarithms of 16 powers, `p`, between which there are ten powers of ten.

    8-bit integers have nothing left for most of them before the logarithm; its weights can be told in 8 bits well.
    """
    random = np.random.default_rng(0)
    scale = np.logspace(-3, 2, 16).astype(np.float32)[:, None, None, None]
    weights: dict[str, npt.NDArray[Any]] = {
        "waves": random.standard_normal((16, 3, 5, 5)).astype(np.float32) * scale,
        "bands": random.uniform(0.5, 2, (16, 1, 1, 1)).astype(np.float32),
        "least": np.array([1e-9], np.float32),
        "tenth": np.array([0.1], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "waves"], ["a"], name="waves conv", pads=[2, 2, 2, 2]),
        helper.make_node("Mul", ["a", "a"], ["b"]),
        helper.make_node("Conv", ["b", "bands"], ["c"], name="bands conv", group=16),
        helper.make_node("Add", ["c", "least"], ["d"]),
        helper.make_node("Log", ["d"], ["e"]),
        helper.make_node("Mul", ["e", "tenth"], ["p"]),
    ]
    return write(path, nodes, [tensor("x", [1, 3, SIZE, SIZE])], [tensor("p", [1, 16, SIZE, SIZE])], weights=weights)


def products(path: Path, awkward: str, *, given: str = "x") -> Path:
    """A classifier of 32x32 pictures into four by one convolution and a product, which quantisation finds `awkward`:
    `row`, `scalar` or `single`, a bias (1, 4), () or (1,); `stack`, weights (1, 16, 4); `plain`, nothing."""
    random = np.random.default_rng(0)
    last = (random.standard_normal((16, 4)) * 0.5).astype(np.float32)
    biases = {"row": np.ones((1, 4)), "scalar": np.array(0.5), "single": np.ones(1), "plain": np.ones(4)}
    weights: dict[str, npt.NDArray[Any]] = {
        "first": (random.standard_normal((16, 3, 3, 3)) * 0.3).astype(np.float32),
        "last": last[np.newaxis] if awkward == "stack" else last,
        "shape": np.array([1, 4], np.int64),
    }
    nodes = [
        helper.make_node("Conv", [given, "first"], ["a"], name="first conv"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("ReduceMean", ["b"], ["c"], axes=[2, 3], keepdims=0),
    ]
    if awkward == "stack":
        nodes.append(helper.make_node("MatMul", ["c", "last"], ["d"], name="last product"))
    else:
        weights["bias"] = biases[awkward].astype(np.float32)
        nodes.append(helper.make_node("Gemm", ["c", "last", "bias"], ["d"], name="last product"))
    nodes += [
        helper.make_node("Reshape", ["d", "shape"], ["e"]),
        helper.make_node("Softmax", ["e"], ["y"], axis=1),
    ]
    return write(path, nodes, [tensor(given, [1, 3, SIZE, SIZE])], [tensor("y", [1, 4])], weights=weights)


def enlarged(path: Path, *, first: bool) -> Path:
    """A classifier of 32x32 pictures into four by a grouped transposed convolution with a bias, which ONNX Runtime
    quantises for TensorRT only; `first`: a convolution before it."""
    random = np.random.default_rng(0)
    channels = 4 if first else 3
    weights: dict[str, npt.NDArray[Any]] = {
        "first": (random.standard_normal((4, 3, 3, 3)) * 0.3).astype(np.float32),
        "groups": (random.standard_normal((channels, 4, 2, 2)) * 0.3).astype(np.float32),
        "bias": random.standard_normal(4 * channels).astype(np.float32),
        "shape": np.array([1, 4, -1], np.int64),
    }
    nodes = [
        *([helper.make_node("Conv", ["x", "first"], ["a"], name="first conv")] if first else []),
        helper.make_node(
            "ConvTranspose", ["a" if first else "x", "groups", "bias"], ["b"], name="in groups", group=channels
        ),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Reshape", ["c", "shape"], ["d"]),
        helper.make_node("ReduceMean", ["d"], ["e"], axes=[2], keepdims=0),
        helper.make_node("Softmax", ["e"], ["y"], axis=1),
    ]
    return write(path, nodes, [tensor("x", [1, 3, SIZE, SIZE])], [tensor("y", [1, 4])], weights=weights)
