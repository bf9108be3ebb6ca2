"""A network cut in two answers as the whole, wherever `split` says that it may be cut."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from engines.bundle import Bundle
from engines.engine import Array, Engine, Tensors
from engines.library import Library
from engines.manifest import AudioInput
from engines.model import Model
from engines.predictions import Answer
from engines.workbench.graph import Graph
from engines.workbench.split import Link, Priced, best, cuts, halves, report, split, suggest
from engines.workbench.tensors import inputs_of_stages, largest_difference, median_ms, noise
from engines.workbench.work import WorkbenchError
from tests import networks as plain
from tests.engines import models
from tests.engines.workbench import networks

pytestmark = pytest.mark.system

ROOT = Path(__file__).parent.parent.parent.parent
SHIPPED = sorted((ROOT / "appliance" / "bundles").glob("*/*/"))
LISTENERS = [folder for folder in SHIPPED if isinstance(Bundle.open(folder).manifest.input, AudioInput)]


@pytest.fixture
def soon_priced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A price is one run's time: for tests to which it does not matter what a cut costs."""

    def one_run_ms(engine: Engine, inputs: Tensors, **_: object) -> float:
        return median_ms(engine, inputs, seconds=0, least=1)

    monkeypatch.setattr("engines.workbench.split.median_ms", one_run_ms)


def short_cut(folder: Path) -> Bundle:
    of = models.manifest("audio-labels", models.sounds(64, batch=None), ["a", "b", "c"], name="audio-labels")
    return models.bundle(of, networks.with_short_cut(folder / "short.onnx"))


def predictions(bundle: Bundle, samples: list[Array]) -> list[Array]:
    """Scores of every label for every sample."""
    with Model(bundle, threshold=0.0) as model:
        answers = model.predict(samples)
        assert all(isinstance(answer, Answer) for answer in answers)
        return [np.array([vars_of(each) for each in answer.predictions]) for answer in answers]  # type: ignore[union-attr]  # asserted above


def vars_of(prediction: object) -> float:
    score: float = prediction.score  # type: ignore[attr-defined]  # every kind that is asked for has one
    return score


@pytest.mark.usefixtures("soon_priced")
@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.parent.name)
def test_every_suggested_cut_of_a_shipped_model_answers_as_the_whole(
    folder: Path, tmp_path: Path, long_run: bool
) -> None:
    """About eight of them, all with --long."""
    bundle = Bundle.open(folder)
    inputs = inputs_of_stages(bundle, noise(bundle.manifest.input, 2))
    priced = [each for each in suggest(bundle, inputs, Link(), tmp_path) if each.tensor]
    assert priced
    for each in priced[:: 1 if long_run else max(1, len(priced) // 8)]:
        made, worst = split(bundle, each.tensor, inputs, tmp_path)
        assert worst <= 1e-4
        assert len(made.manifest.stages) == len(bundle.manifest.stages) + 1


def test_every_cut_of_a_real_detector_answers_as_the_whole(data: Path, tmp_path: Path) -> None:
    bundle = Library(tmp_path).find(data / "models" / "FastestDet.onnx")
    inputs = inputs_of_stages(bundle, noise(bundle.manifest.input, 1))
    places = cuts(Graph.load(bundle.stage_path("main")))
    assert len(places) > 50
    for cut in places[::15]:
        assert split(bundle, cut.tensor, inputs, tmp_path)[1] <= 1e-4


def test_a_short_cut_crosses_too_and_constants_do_not(tmp_path: Path) -> None:
    bundle = short_cut(tmp_path)
    places = {cut.tensor: cut.crossing for cut in cuts(Graph.load(bundle.stage_path("only")))}
    assert places == {
        "minus": ("minus", "x"),
        "cut_off": ("cut_off", "x"),
        "sum": ("sum",),
        "scaled": ("scaled",),
    }
    inputs = inputs_of_stages(bundle, noise(bundle.manifest.input, 3))
    for tensor in places:
        made, worst = split(bundle, tensor, inputs, tmp_path)
        assert worst <= 1e-4
        whole = predictions(bundle, noise(bundle.manifest.input, 3))
        parts = predictions(Bundle(made.manifest, tmp_path, made.files), noise(bundle.manifest.input, 3))
        np.testing.assert_allclose(np.array(parts), np.array(whole), atol=1e-4)


def test_the_stages_keep_the_sizes_that_may_vary(tmp_path: Path) -> None:
    bundle = short_cut(tmp_path)
    graph = Graph.load(bundle.stage_path("only"))
    front, back = halves(graph, "sum", {"x": np.zeros((1, 64), np.float32)})
    assert front.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "n"
    assert [each.name for each in back.graph.input] == ["sum"]
    assert {node.op_type for node in back.graph.node} == {"Mul", "MatMul"}


def of_unknown_sizes(path: Path, batch: str | int) -> Path:
    """An operator that shape inference does not know stands between two convolutions; `q` is what it makes."""
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"]),
        helper.make_node("QuickGelu", ["a"], ["q"], domain="com.microsoft", alpha=1.0),
        helper.make_node("Conv", ["q", "second"], ["b"]),
        helper.make_node("ReduceMean", ["b"], ["y"], axes=[2, 3], keepdims=0),
    ]
    random = np.random.default_rng(0)
    weights = {"first": (8, 3, 1, 1), "second": (3, 8, 1, 1)}
    return plain.write(
        path,
        nodes,
        [plain.tensor("x", [batch, 3, 32, 32])],
        [plain.tensor("y", [batch, 3])],
        weights={name: random.random(shape, np.float32) for name, shape in weights.items()},
        domain="com.microsoft",
    )


def classifier(path: Path, batch: int | None) -> Bundle:
    spec = models.pictures(32, 32, fit="stretch", batch=batch)
    return models.bundle(models.manifest("classify", spec, ["a", "b", "c"], name="classify"), path)


def test_the_stages_take_as_many_samples_as_the_whole_where_shapes_cannot_be_inferred(tmp_path: Path) -> None:
    bundle = classifier(of_unknown_sizes(tmp_path / "net.onnx", "n"), None)
    samples = noise(bundle.manifest.input, 2)
    made, _ = split(bundle, "q", inputs_of_stages(bundle, samples), tmp_path)
    whole = predictions(bundle, samples)
    parts = predictions(Bundle(made.manifest, tmp_path, made.files), samples)
    np.testing.assert_allclose(np.array(parts), np.array(whole), atol=1e-4)


def test_sizes_are_as_they_come_out_where_none_can_vary(tmp_path: Path) -> None:
    graph = Graph.load(of_unknown_sizes(tmp_path / "net.onnx", 1))
    _, back = halves(graph, "q", {"x": np.zeros((1, 3, 32, 32), np.float32)})
    assert [size.dim_value for size in back.graph.input[0].type.tensor_type.shape.dim] == [1, 8, 32, 32]


def test_a_cut_that_takes_one_sample_only_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = classifier(of_unknown_sizes(tmp_path / "net.onnx", "n"), None)
    inputs = inputs_of_stages(bundle, noise(bundle.manifest.input, 1))
    monkeypatch.setattr("engines.workbench.split._is_fixed", lambda declared: True)
    with pytest.raises(WorkbenchError, match=r"q: cut here, a part does not run: .* \(2, 8, 32, 32\), expected \(1, 8"):
        split(bundle, "q", inputs, tmp_path)


def test_an_input_that_only_the_body_of_an_if_uses_is_one_of_the_first_stage(tmp_path: Path) -> None:
    bodies = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(kind, ["x"], [name])], name, [], [plain.tensor(name, ["n", 4])]
        )
        for name, kind in {"then": "Neg", "else": "Abs"}.items()
    }
    nodes = [helper.make_node("If", ["yes"], ["a"], **bodies), helper.make_node("Relu", ["a"], ["y"])]
    given, made = [plain.tensor("x", ["n", 4])], [plain.tensor("y", ["n", 4])]
    graph = Graph.load(plain.write(tmp_path / "net.onnx", nodes, given, made, weights={"yes": np.array(True)}))
    front, _ = halves(graph, "a", {"x": np.zeros((1, 4), np.float32)})
    assert [each.name for each in front.graph.input] == ["x"]


STAGE = """
import io, sys
import numpy as np
from pathlib import Path
from engines.onnxrt import OnnxEngine
given = dict(np.load(io.BytesIO(sys.stdin.buffer.read())))
with OnnxEngine(Path(sys.argv[1])) as engine:
    made = engine.run({spec.name: given[spec.name] for spec in engine.inputs})
file = io.BytesIO()
np.savez(file, **(given | made))
sys.stdout.buffer.write(file.getvalue())
"""


def in_another_process(network: Path, tensors: dict[str, Array]) -> dict[str, Array]:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **tensors)
    command = [sys.executable, "-c", STAGE, str(network)]
    done = subprocess.run(command, input=file.getvalue(), capture_output=True, check=True, cwd=ROOT)
    return dict(np.load(io.BytesIO(done.stdout)))


@pytest.mark.usefixtures("soon_priced")
@pytest.mark.parametrize("folder", LISTENERS, ids=lambda folder: folder.parent.name)
def test_the_stages_of_a_split_model_run_in_processes_of_their_own(folder: Path, tmp_path: Path) -> None:
    bundle = Bundle.open(folder)
    sample = noise(bundle.manifest.input, 1)
    inputs = inputs_of_stages(bundle, sample)
    middle = [each for each in suggest(bundle, inputs, Link(), tmp_path) if each.tensor]
    made, _ = split(bundle, middle[len(middle) // 2].tensor, inputs, tmp_path)
    known = dict(inputs[0][0])
    for stage in made.manifest.stages:
        known = in_another_process(made.files[stage.file], known)
    expected = inputs[0][0]
    for stage in bundle.manifest.stages:
        expected = in_another_process(bundle.files[stage.file], expected)
    [output] = set(expected) - set().union(*(known_inputs[0] for known_inputs in inputs))
    assert largest_difference({output: expected[output]}, {output: known[output]}) <= 1e-4


def test_the_two_stages_of_spoken_digits_run_in_processes_of_their_own() -> None:
    bundle = Bundle.open(ROOT / "appliance" / "bundles" / "spoken-digits" / "1")
    assert [stage.name for stage in bundle.manifest.stages] == ["spectrogram", "recogniser"]
    golden = dict(np.load(bundle.file_path("golden/input.npz"), allow_pickle=False))
    expected = dict(np.load(bundle.file_path("golden/output.npz"), allow_pickle=False))
    between = in_another_process(bundle.stage_path("spectrogram"), golden)
    known = in_another_process(bundle.stage_path("recogniser"), between)
    assert largest_difference(expected, known) <= 1e-4


def test_the_split_model_becomes_the_next_version_and_runs(tmp_path: Path) -> None:
    bundle = Bundle.open(ROOT / "appliance" / "bundles" / "tones" / "1")
    inputs = inputs_of_stages(bundle, noise(bundle.manifest.input, 2))
    made, _ = split(bundle, "reducemean3", inputs, tmp_path)
    library = Library(tmp_path / "library")
    added = library.install(made.manifest, made.files)
    assert added.bundle.manifest.version == "2"
    assert not library.install(made.manifest, made.files).new
    again = Bundle.open(added.bundle.folder)
    assert [stage.name for stage in again.manifest.stages] == ["main-1", "main-2"]
    samples = noise(bundle.manifest.input, 3)
    np.testing.assert_allclose(predictions(again, samples), predictions(bundle, samples), atol=1e-4)


def test_where_it_cannot_be_cut_the_reason_is_said(tmp_path: Path) -> None:
    bundle = short_cut(tmp_path)
    inputs = inputs_of_stages(bundle, noise(bundle.manifest.input, 1))
    for tensor, words in {
        "summ": "no tensor is called summ: did you mean sum",
        "square": "does not depend on the input",
        "y": "the output y would be made before it",
    }.items():
        with pytest.raises(WorkbenchError, match=words):
            split(bundle, tensor, inputs, tmp_path)
    with pytest.raises(WorkbenchError, match="no sample was given"):
        inputs_of_stages(bundle, [])


def test_the_price_of_a_cut_counts_the_link_and_the_speed_of_the_server(tmp_path: Path) -> None:
    assert Link(mbit_per_s=8, round_trip_ms=2).ms(1000) == pytest.approx(3.0)
    here = Priced("", "", (), 0, 10.0, 0, 0.0, 0.0)
    cut = Priced("main", "t", ("t",), 3, 4.0, 1000, 3.0, 1.0)
    there = Priced("", "", (), 0, 0.0, 9000, 11.0, 2.0)
    assert best([here, cut, there]) is cut
    told = report([here, cut, there], "it 1", Link(8, 2))
    assert told.facts["best"] == "t"
    assert "**t**, 8.00 ms, over 8 Mbit/s" in told.text
    assert told.pictures["split.svg"].startswith(b"<svg")
