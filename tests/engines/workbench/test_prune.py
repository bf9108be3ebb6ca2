"""Channels are taken out of every weight they touch, and of nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper

from engines.onnxrt import OnnxEngine
from engines.workbench.channels import Channels
from engines.workbench.graph import Graph
from engines.workbench.prepared import prepared
from engines.workbench.prune import prune
from engines.workbench.work import WorkbenchError
from tests.engines.workbench import networks
from tests.networks import tensor, write

CHANNELS = 32


def branched(path: Path, dead: range = range(0)) -> Path:
    """Everything that ties channels: a short cut, a depthwise convolution, a split, a concatenation, a mean.

    Channels in `dead` have no weights: without them the network answers the same.
    """
    random = np.random.default_rng(0)

    def conv(out: int, into: int, side: int = 3) -> npt.NDArray[np.float32]:
        return (random.standard_normal((out, into, side, side)) * 0.2).astype(np.float32)

    weights: dict[str, npt.NDArray[Any]] = {
        "a": conv(CHANNELS, 3),
        "a bias": random.standard_normal(CHANNELS).astype(np.float32),
        "b": conv(CHANNELS, CHANNELS),
        "deep": conv(CHANNELS, 1),
        "c": conv(CHANNELS, CHANNELS, 1),
        "sizes": np.array([CHANNELS // 2, CHANNELS // 2], np.int64),
        "last": (random.standard_normal((CHANNELS, 4)) * 0.5).astype(np.float32),
        "last bias": np.zeros(4, np.float32),
        "scale": random.uniform(0.5, 1.5, (1, CHANNELS, 1, 1)).astype(np.float32),
    }
    for channel in dead:
        weights["a"][channel] = weights["a bias"][channel] = weights["b"][channel] = 0
        weights["deep"][channel] = weights["c"][channel] = 0
    nodes = [
        helper.make_node("Conv", ["x", "a", "a bias"], ["t1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["t1"], ["t2"]),
        helper.make_node("Conv", ["t2", "b"], ["t3"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["t3", "t2"], ["t4"]),
        helper.make_node("Mul", ["t4", "scale"], ["t5"]),
        helper.make_node("Conv", ["t5", "deep"], ["t6"], group=CHANNELS, pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["t6", "c"], ["t7"]),
        helper.make_node("Split", ["t7", "sizes"], ["t8", "t9"], axis=1),
        helper.make_node("Relu", ["t8"], ["t10"]),
        helper.make_node("Concat", ["t9", "t10"], ["t11"], axis=1),
        helper.make_node("GlobalAveragePool", ["t11"], ["t12"]),
        helper.make_node("Flatten", ["t12"], ["t13"]),
        helper.make_node("Gemm", ["t13", "last", "last bias"], ["y"]),
    ]
    return write(path, nodes, [tensor("x", [1, 3, 16, 16])], [tensor("y", [1, 4])], weights=weights)


def ready(path: Path, folder: Path) -> Graph:
    return Graph(onnx.shape_inference.infer_shapes(prepared(Graph.load(path), folder)))


def answer(path: Path, x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    with OnnxEngine(path) as engine:
        [spec] = engine.inputs
        [output] = engine.run({spec.name: x}).values()
    return output


def test_channels_without_weights_go_first_and_are_not_missed(tmp_path: Path) -> None:
    # Of the split, half of each part: the concatenation behind it must find the right ones.
    dead = range(4, 28)
    path = branched(tmp_path / "net.onnx", dead)
    pruned = prune(ready(path, tmp_path), 0.75)
    small = tmp_path / "small.onnx"
    small.write_bytes(pruned.model.SerializeToString())
    shapes = {each.name: tuple(each.dims) for each in pruned.model.graph.initializer}
    assert (8, 1, 3, 3) in shapes.values()
    assert pruned.gone == 2 * len(dead)
    assert pruned.weights_after < pruned.weights_before / 3
    x = np.random.default_rng(1).uniform(0, 1, (1, 3, 16, 16)).astype(np.float32)
    np.testing.assert_allclose(answer(small, x), answer(path, x), atol=1e-5)


def test_what_must_stay_together_stays_together(tmp_path: Path) -> None:
    channels = Channels.of(ready(branched(tmp_path / "net.onnx"), tmp_path))
    groups = channels.free()
    assert len(groups) == 2 * CHANNELS  # of the short cut with the depthwise convolution, and behind it
    assert sorted({len(members) for members in groups.values()}) == [1, 2]


def test_channels_that_reach_something_that_counts_them_stay(tmp_path: Path) -> None:
    weights: dict[str, npt.NDArray[Any]] = {
        "w": np.ones((16, 3, 1, 1), np.float32),
        "sizes": np.array([1, 16, 16, 16], np.int64),
        "v": np.ones((4, 16, 1, 1), np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Resize", ["a", "", "", "sizes"], ["b"], mode="nearest"),
        helper.make_node("Conv", ["b", "v"], ["y"]),
    ]
    path = write(
        tmp_path / "net.onnx", nodes, [tensor("x", [1, 3, 8, 8])], [tensor("y", [1, 4, 16, 16])], weights=weights
    )
    assert Channels.of(ready(path, tmp_path)).free() == {}


def test_the_outputs_keep_their_channels(tmp_path: Path) -> None:
    pruned = prune(ready(branched(tmp_path / "net.onnx"), tmp_path), 0.5)
    small = tmp_path / "small.onnx"
    small.write_bytes(pruned.model.SerializeToString())
    assert answer(small, np.zeros((1, 3, 16, 16), np.float32)).shape == (1, 4)


@pytest.mark.parametrize("bias", [(), (1,), (1, 1), (CHANNELS,), (1, CHANNELS)], ids=str)
def test_a_product_is_pruned_whatever_the_shape_of_its_bias(bias: tuple[int, ...], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    weights: dict[str, npt.NDArray[Any]] = {
        "a": random.standard_normal((6, CHANNELS)).astype(np.float32),
        "a bias": random.standard_normal(bias).astype(np.float32),
        "b": random.standard_normal((CHANNELS, 4)).astype(np.float32),
    }
    weights["b"][::2] = weights["a"][:, ::2] = 0  # these are not missed
    nodes = [
        helper.make_node("Gemm", ["x", "a", "a bias"], ["t1"]),
        helper.make_node("Relu", ["t1"], ["t2"]),
        helper.make_node("Gemm", ["t2", "b"], ["y"]),
    ]
    path = write(tmp_path / "net.onnx", nodes, [tensor("x", [1, 6])], [tensor("y", [1, 4])], weights=weights)
    pruned = prune(ready(path, tmp_path), 0.5)
    assert pruned.gone == CHANNELS // 2
    small = tmp_path / "small.onnx"
    small.write_bytes(pruned.model.SerializeToString())
    x = random.standard_normal((1, 6)).astype(np.float32)
    np.testing.assert_allclose(answer(small, x), answer(path, x), atol=1e-5)


def test_a_network_without_anything_to_take_out_is_refused(tmp_path: Path) -> None:
    weights: dict[str, npt.NDArray[Any]] = {"w": np.ones((4, 3, 1, 1), np.float32)}
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    path = write(
        tmp_path / "net.onnx", nodes, [tensor("x", [1, 3, 8, 8])], [tensor("y", [1, 4, 8, 8])], weights=weights
    )
    with pytest.raises(WorkbenchError, match="no group of channels in it of which 50% could go"):
        prune(ready(path, tmp_path), 0.5)


def test_a_network_in_half_precision_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="its weights are 16-bit floats: export it in float32"):
        ready(networks.half(tmp_path / "net.onnx"), tmp_path)


def test_real_networks_are_really_smaller_and_still_run(data: Path, tmp_path: Path) -> None:
    for name in ("FastestDet", "ultraface-slim-320"):
        graph = ready(data / "models" / f"{name}.onnx", tmp_path)
        pruned = prune(graph, 0.4)
        assert pruned.weights_after < 0.6 * pruned.weights_before
        small = tmp_path / "small.onnx"
        small.write_bytes(pruned.model.SerializeToString())
        with OnnxEngine(small) as engine, OnnxEngine(data / "models" / f"{name}.onnx") as whole:
            assert engine.inputs == whole.inputs
            assert engine.outputs == whole.outputs
            [spec] = engine.inputs
            x = np.random.default_rng(0).uniform(0, 1, [size or 1 for size in spec.shape]).astype(np.float32)
            assert all(np.isfinite(output).all() for output in engine.run({spec.name: x}).values())
