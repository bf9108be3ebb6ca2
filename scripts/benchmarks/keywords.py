"""A keyword network to measure with: log-mel and a small convolutional network in one graph, random weights.

The graph hears 100 ms at a time. It keeps the spectrogram of the last second as its state, so that each stretch of
sound is transformed once; the same network alone is written too, for loops that compute their spectrogram outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]

RATE_HZ = 16_000
STEP = 1600
"""Samples that are new in each window: 100 ms."""
WINDOW, HOP, BINS, BANDS = 400, 160, 512, 40
CONTEXT = WINDOW - HOP
"""Samples of the window before that the first frame of the next begins with."""
FRAMES = 98
"""Frames of a second."""
NEW = STEP // HOP
LABELS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", "unknown", "silence")
FLOOR = np.float32(1e-6)
_FEATURES = 64


def mel_bank() -> Array:
    """(BANDS, BINS // 2 + 1): triangles, even on the scale 1127 ln(1 + f / 700) from 20 Hz to half the rate."""
    low, high = (1127 * np.log1p(frequency / 700) for frequency in (20, RATE_HZ / 2))
    edges = 700 * np.expm1(np.linspace(low, high, BANDS + 2) / 1127)
    frequencies = np.arange(BINS // 2 + 1) * RATE_HZ / BINS
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (frequencies - left) / (middle - left), (right - frequencies) / (right - middle)
    bank: Array = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return bank


def log_mel(samples: Array) -> Array:
    """(frames, BANDS) of float32 samples, with NumPy, all at once."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    spectrum = np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), BINS, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return np.asarray(np.log(power @ mel_bank().T + FLOOR), np.float32)


def write_stream(path: Path) -> Path:
    """`sound` (1, CONTEXT + STEP) and `history` (1, FRAMES - NEW, BANDS) to `scores` (1, labels) and `kept`."""
    nodes, weights = _mel_nodes()
    nodes += [
        helper.make_node("Concat", ["history", "new"], ["frames"], axis=1),
        helper.make_node("Slice", ["frames", "from", "to", "axis"], ["kept"]),
        helper.make_node("Unsqueeze", ["frames", "one"], ["mel"]),
    ]
    weights |= {
        "from": np.array([NEW], np.int64),
        "to": np.array([FRAMES], np.int64),
        "axis": np.array([1], np.int64),
        "one": np.array([1], np.int64),
    }
    more, further = _network_nodes()
    inputs = {"sound": [1, CONTEXT + STEP], "history": [1, FRAMES - NEW, BANDS]}
    outputs = {"scores": [1, len(LABELS)], "kept": [1, FRAMES - NEW, BANDS]}
    return _save(path, nodes + more, weights | further, inputs, outputs)


def write_network(path: Path) -> Path:
    """`mel` (1, 1, FRAMES, BANDS) to `scores`."""
    nodes, weights = _network_nodes()
    return _save(path, nodes, weights, {"mel": [1, 1, FRAMES, BANDS]}, {"scores": [1, len(LABELS)]})


def _mel_nodes() -> tuple[list[Any], dict[str, Array]]:
    """`sound` to `new` (1, NEW, BANDS): frames are picked out, their Fourier transform is a product of matrices, which
    takes less time than a convolution with as long a kernel."""
    bins = BINS // 2 + 1
    angles = 2 * np.pi * np.arange(WINDOW)[:, None] * np.arange(bins) / BINS
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * np.hanning(WINDOW)[:, None]
    weights: dict[str, Array] = {
        "places": np.arange(NEW)[:, None] * HOP + np.arange(WINDOW),
        "waves": waves.astype(np.float32),
        "bank": np.concatenate([mel_bank().T, mel_bank().T]),
        "floor": np.array(FLOOR, np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["sound", "places"], ["pieces"], axis=1),
        helper.make_node("MatMul", ["pieces", "waves"], ["spectrum"]),
        helper.make_node("Mul", ["spectrum", "spectrum"], ["squares"]),
        helper.make_node("MatMul", ["squares", "bank"], ["bands"]),
        helper.make_node("Add", ["bands", "floor"], ["above"]),
        helper.make_node("Log", ["above"], ["new"]),
    ]
    return nodes, weights


def _network_nodes(seed: int = 0) -> tuple[list[Any], dict[str, Array]]:
    """`mel` to `scores`: a convolution, four separable ones, the mean, a layer; 24 thousand weights."""
    random = np.random.default_rng(seed)
    nodes: list[Any] = []
    weights: dict[str, Array] = {}

    def conv(x: str, shape: Sequence[int], **attributes: Any) -> str:
        name = f"features{len(nodes)}"
        weights[f"{name}.weight"] = random.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
        nodes.append(helper.make_node("Conv", [x, f"{name}.weight"], [name], kernel_shape=shape[2:], **attributes))
        nodes.append(helper.make_node("Relu", [name], [f"{name}.on"]))
        return f"{name}.on"

    x = conv("mel", (_FEATURES, 1, 10, 4), strides=[2, 2], pads=[5, 1, 5, 1])
    for _ in range(4):
        x = conv(x, (_FEATURES, 1, 3, 3), pads=[1] * 4, group=_FEATURES)
        x = conv(x, (_FEATURES, _FEATURES, 1, 1))
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["flat"]))
    nodes.append(helper.make_node("Gemm", ["flat", "layer"], ["logits"]))
    nodes.append(helper.make_node("Softmax", ["logits"], ["scores"], axis=1))
    weights["layer"] = random.normal(0, 0.1, (_FEATURES, len(LABELS))).astype(np.float32)
    return nodes, weights


def _save(
    path: Path, nodes: list[Any], weights: dict[str, Array], inputs: dict[str, list[int]], outputs: dict[str, list[int]]
) -> Path:
    given, found = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in tensors.items()]
        for tensors in (inputs, outputs)
    )
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "keywords", given, found, initializer=constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path
