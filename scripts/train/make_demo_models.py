#!/usr/bin/env python3
"""Makes the two models the demo runs on: `shapes` and `tones`. Nothing is trained: every weight follows from a formula.

    .venv/bin/python scripts/train/make_demo_models.py            writes appliance/bundles/
    .venv/bin/python scripts/train/make_demo_models.py FOLDER     writes FOLDER/<name>/1/

`shapes` finds saturated red, green and blue objects. A colour's coverage is computed per cell (4 pixels of a 640 pixel
picture); the ends of the run of covered cells through a cell, along its row and along its column, give the box: the
rows of a disc, a square or a triangle all cross its tallest column, the columns its widest row. Ends of runs come from
running maxima whose keys count the gaps before them, so that a maximum never looks past a gap.

`tones` weighs the energy of 0.5 s of sound in three bands, by band-pass filters written as a convolution, against
silence.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from capture.options import VideoOptions
from capture.samples import Samples
from capture.shapes import Shapes
from engines.bundle import Bundle, write_bundle
from engines.digest import of_bytes
from engines.engine import Array
from engines.manifest import AudioInput, Decoder, ImageInput, Manifest, Stage
from engines.onnxrt import OnnxEngine
from engines.pictures import Pictures

OPSET = 17
BUNDLES = Path(__file__).parent.parent.parent / "appliance" / "bundles"

WIDTH, HEIGHT, CELL = 320, 192, 2
COLUMNS, ROWS = WIDTH // CELL, HEIGHT // CELL
REACH = 32
"""Cells from an object's cell to its end, at most: 128 pixels of a 640 pixel picture."""
STRIDE = 4
"""Every so many cells, in both directions, one cell answers."""
LEAST_COVERAGE = 0.2
PURE = 140.0
"""Difference between the strongest channel and the next, in levels, that counts as fully coloured."""
KEY = 1024.0
"""One gap weighs more than any position."""

RATE_HZ, SAMPLES, HOP = 16_000, 8_000, 1_600
TAPS = 129
BANDS_HZ = {"low": (80, 500), "middle": (500, 2_000), "high": (2_000, 7_000)}
QUIET_DB = -45.0
"""Band energy, against full scale, at which silence and a sound are equally likely."""


class Graph:
    """Collects nodes and constants; `add` returns the name of a node's output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        output = output or f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def cast(self, name: str) -> str:
        return self.add("Cast", name, to=TensorProto.FLOAT)

    def constant(self, value: object, dtype: type[np.generic] = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def model(self, name: str, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> bytes:
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="appliance")
        made.ir_version = 8
        onnx.checker.check_model(made, full_check=True)
        return bytes(made.SerializeToString(deterministic=True))


def shapes_network() -> bytes:
    graph = Graph()
    cover = _coverage(graph)
    mask = graph.cast(graph.add("Greater", cover, graph.constant(LEAST_COVERAGE)))
    gap = graph.add("Sub", graph.constant(1.0), mask)
    x = graph.constant(np.arange(COLUMNS).reshape(1, 1, 1, COLUMNS))
    y = graph.constant(np.arange(ROWS).reshape(1, 1, ROWS, 1))
    one = graph.constant(1.0)
    ends = []
    for position, count, axes in ((x, COLUMNS, (3, 2)), (y, ROWS, (2, 3))):
        back = graph.add("Sub", graph.constant(count - 1.0), position)
        for from_start in (back, position):  # first the lower end, counted from the far side, then the upper end
            end = graph.add("Mul", graph.add("Add", graph.add("Add", from_start, cover), one), mask)
            for axis in axes:
                end = graph.add("Mul", _along_run(graph, end, gap, axis), mask)
            ends.append(graph.add("Sub", end, one))
    left = graph.add("Sub", graph.constant(float(COLUMNS)), ends[0])
    top = graph.add("Sub", graph.constant(float(ROWS)), ends[2])
    corners = graph.add("Concat", *(_sampled(graph, each) for each in (left, top, ends[1], ends[3])), axis=2)
    # (1, 3, 4, cells) -> (1, 3 * cells, 4)
    rows = graph.add("Transpose", corners, perm=[0, 1, 3, 2])
    rows = graph.add("Reshape", rows, graph.constant([1, -1, 4], np.int64))
    graph.add("Mul", rows, graph.constant(float(CELL)), output="boxes")
    _scores(graph, cover)
    cells = (ROWS // STRIDE) * (COLUMNS // STRIDE)
    return graph.model(
        "shapes",
        [helper.make_tensor_value_info("picture", TensorProto.UINT8, [1, HEIGHT, WIDTH, 3])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 3 * cells, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3 * cells, 3]),
        ],
    )


def _coverage(graph: Graph) -> str:
    """(1, 3, ROWS, COLUMNS): the share of each cell that is red, green, blue."""
    pure = _purity(graph)
    level = graph.add("Clip", graph.add("Div", pure, graph.constant(PURE)), graph.constant(0.0), graph.constant(1.0))
    return graph.add("AveragePool", level, kernel_shape=[CELL, CELL], strides=[CELL, CELL])


def _purity(graph: Graph) -> str:
    """(1, 3, HEIGHT, WIDTH): by how many levels a channel is above the stronger of the two others."""
    picture = graph.add("Transpose", graph.cast("picture"), perm=[0, 3, 1, 2])
    channels = [graph.add("Gather", picture, graph.constant([c], np.int64), axis=1) for c in range(3)]
    above = [
        graph.add("Sub", channels[c], graph.add("Max", channels[(c + 1) % 3], channels[(c + 2) % 3])) for c in range(3)
    ]
    return graph.add("Concat", *above, axis=1)


def _along_run(graph: Graph, values: str, gap: str, axis: int) -> str:
    """The largest value in the run of cells without a gap, along `axis`, that each cell is part of."""
    kernel = [REACH, 1] if axis == 2 else [1, REACH]
    before = [REACH - 1, 0, 0, 0] if axis == 2 else [0, REACH - 1, 0, 0]
    after = before[2:] + before[:2]
    largest = []
    for reverse, pads in ((0, before), (1, after)):
        gaps = graph.add("CumSum", gap, graph.constant(axis, np.int64), reverse=reverse)
        key = graph.add("Mul", gaps, graph.constant(KEY))
        best = graph.add("MaxPool", graph.add("Add", key, values), kernel_shape=kernel, pads=pads)
        largest.append(graph.add("Sub", best, key))
    return graph.add("Max", *largest)


def _sampled(graph: Graph, values: str) -> str:
    """(1, 3, 1, cells): the cells that answer."""
    first = graph.constant([STRIDE // 2, STRIDE // 2], np.int64)
    last = graph.constant([ROWS, COLUMNS], np.int64)
    axes, steps = graph.constant([2, 3], np.int64), graph.constant([STRIDE, STRIDE], np.int64)
    return graph.add(
        "Reshape", graph.add("Slice", values, first, last, axes, steps), graph.constant([1, 3, 1, -1], np.int64)
    )


def _scores(graph: Graph, cover: str) -> None:
    """A cell well inside its object scores more than one at its edge; a row speaks for its own colour only."""
    inside = graph.add("AveragePool", cover, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    sampled = graph.add("Reshape", _sampled(graph, inside), graph.constant([1, 3, -1, 1], np.int64))
    own = graph.add("Mul", sampled, graph.constant(0.95 * np.eye(3).reshape(1, 3, 1, 3)))
    graph.add("Reshape", own, graph.constant([1, -1, 3], np.int64), output="scores")


def tones_network() -> bytes:
    graph = Graph()
    sound = graph.add("Unsqueeze", "sound", graph.constant([1], np.int64))
    filters = graph.constant(np.stack([_band_pass(*band) for band in BANDS_HZ.values()])[:, np.newaxis, :])
    bands = graph.add("Conv", sound, filters, kernel_shape=[TAPS], pads=[TAPS // 2, TAPS // 2])
    energy = graph.add("ReduceMean", graph.add("Mul", bands, bands), axes=[2], keepdims=0)
    # Half the natural logarithm of a ratio of energies: 20 dB make the louder band ten times as likely.
    quiet = 10 ** (QUIET_DB / 10)
    ratio = graph.add("Div", graph.add("Add", energy, graph.constant(1e-12)), graph.constant(quiet))
    logits = graph.add("Mul", graph.add("Log", ratio), graph.constant(0.5))
    silence = graph.add("Mul", graph.add("ReduceMax", logits, axes=[1], keepdims=1), graph.constant(0.0))
    graph.add("Softmax", graph.add("Concat", silence, logits, axis=1), axis=1, output="scores")
    return graph.model(
        "tones",
        [helper.make_tensor_value_info("sound", TensorProto.FLOAT, [1, SAMPLES])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 1 + len(BANDS_HZ)])],
    )


def _band_pass(low_hz: float, high_hz: float) -> Array:
    """A windowed-sinc filter (Hamming window): the difference of two low-pass filters."""
    n = np.arange(TAPS) - TAPS // 2
    ideal = [2 * hertz / RATE_HZ * np.sinc(2 * hertz / RATE_HZ * n) for hertz in (low_hz, high_hz)]
    return np.asarray((ideal[1] - ideal[0]) * np.hamming(TAPS))


def tone(hertz: float) -> Samples:
    time_s = np.arange(SAMPLES) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * hertz * time_s)).astype(np.float32)


ABOUT = {
    "licence": "Apache-2.0",
    "author": "the appliance's own script scripts/train/make_demo_models.py",
    "data": "none: every weight follows from a formula",
}


def make(folder: Path) -> list[Bundle]:
    """Both bundles under `folder`; what is there under their names must be gone."""
    shapes_input = ImageInput(
        tensor="picture",
        width=WIDTH,
        height=HEIGHT,
        fit="letterbox",
        layout="nhwc",
        channels="rgb",
        dtype="uint8",
        pad=0,
    )
    shapes_golden = _shapes_golden(shapes_input)
    tones_golden = {"sound": np.stack([tone(880.0)])}
    return [
        _bundle(
            folder,
            shapes_network(),
            shapes_golden,
            task="detect",
            labels=("red", "green", "blue"),
            input=shapes_input,
            decoder=Decoder(name="ssd", threshold=0.5, nms_iou=0.45, options={"boxes": "boxes", "scores": "scores"}),
            about={
                **ABOUT,
                "what": "finds saturated red, green and blue objects before a dull background, for the demo",
                "limits": "objects up to 128 pixels of a 640 pixel picture; anything saturated counts",
            },
        ),
        _bundle(
            folder,
            tones_network(),
            tones_golden,
            task="audio-labels",
            labels=("silence", *BANDS_HZ),
            input=AudioInput(tensor="sound", rate_hz=RATE_HZ, samples=SAMPLES, hop=HOP),
            decoder=Decoder(name="audio-labels", threshold=0.6),
            about={
                **ABOUT,
                "what": "tells in which band half a second of sound is: low, middle, high, or silence; for the demo",
                "limits": "knows loudness per band only, no tones from noises",
            },
        ),
    ]


def _shapes_golden(spec: ImageInput) -> dict[str, Array]:
    """The input tensor for the first picture of the scene."""
    with Shapes("golden", VideoOptions(realtime=False)) as scene:
        pixels = scene.render(0)
    inputs = Pictures(spec, rows=1)
    inputs.put(0, pixels)
    return {name: np.array(value) for name, value in inputs.tensors(1).items()}


def _bundle(folder: Path, network: bytes, golden: dict[str, Array], **manifest: object) -> Bundle:
    """Write one bundle, with the golden input and what ONNX Runtime makes of it."""
    name = onnx.load_from_string(network).graph.name
    with tempfile.TemporaryDirectory() as scratch:
        sources = {"model.onnx": Path(scratch) / "model.onnx"}
        sources["model.onnx"].write_bytes(network)
        with OnnxEngine(sources["model.onnx"]) as engine:
            expected = {key: np.array(value) for key, value in engine.run(golden).items()}
        for file, arrays in (("golden/input.npz", golden), ("golden/output.npz", expected)):
            packed = io.BytesIO()
            np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]  # names of arrays, not options
            sources[file] = Path(scratch) / file.replace("/", "-")
            sources[file].write_bytes(packed.getvalue())
        digests = {file: of_bytes(path.read_bytes()) for file, path in sources.items()}
        stage = Stage(name="main", file="model.onnx", digest=digests.pop("model.onnx"))
        made = Manifest.model_validate({"name": name, "version": "1", "stages": (stage,), "files": digests, **manifest})
        return write_bundle(folder / name / "1", made, sources)


if __name__ == "__main__":
    for bundle in make(Path(sys.argv[1]) if len(sys.argv) > 1 else BUNDLES):
        size = sum(path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file())
        print(f"{bundle.manifest.name} {bundle.manifest.digest}: {size / 1000:.0f} kB in {bundle.folder}")
