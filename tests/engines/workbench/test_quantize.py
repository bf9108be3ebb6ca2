"""Variants in integers: right, worth it, and used by the back end they are made for; refused otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

from engines.bundle import Bundle, BundleError, write_bundle
from engines.digest import of_file
from engines.engine import Array, Tensors
from engines.library import Library
from engines.manifest import Manifest, Stage
from engines.model import Model
from engines.onnxrt import OnnxEngine
from engines.predictions import Answer
from engines.workbench import quantize as verb
from engines.workbench.agreement import compare
from engines.workbench.quantize import goals, quantize
from engines.workbench.tensors import inputs_of_stages, noise
from engines.workbench.trial import Goal, Measure, Outcome, with_stages
from engines.workbench.work import WorkbenchError
from tests.engines import models
from tests.engines.workbench import networks

pytestmark = pytest.mark.system

ROOT = Path(__file__).parent.parent.parent.parent
CPU, GPU, HALF = Goal("onnxruntime", "int8"), Goal("tensorrt", "int8"), Goal("onnxruntime", "float16")
LABELS = ("a", "b", "c", "d")


def classifier(folder: Path, **how: float) -> Bundle:
    return bundled(folder, networks.convolutions(folder / "net.onnx", spread=how.get("spread", 1.0)))


def bundled(folder: Path, path: Path, given: str = "x") -> Bundle:
    """`path`: of a network of pictures, `net.onnx` in this folder, with the labels a, b, c, d."""
    spec = models.pictures(32, 32, fit="stretch", tensor=given)
    of = models.manifest("classify", spec, LABELS, name="classify", threshold=0)
    stage = Stage(name="only", file="net.onnx", digest=of_file(path))
    return Bundle(of.model_copy(update={"stages": (stage,)}), folder, {"net.onnx": path})


def scores(bundle: Bundle, samples: Sequence[Array]) -> Array:
    with Model(bundle) as model:
        answers = model.predict(samples, thresholds=[0.0] * len(samples))
    rows = []
    for answer in answers:
        assert isinstance(answer, Answer)
        said = {each.label: each.score for each in answer.predictions}  # type: ignore[union-attr]  # labels have scores
        rows.append([said[label] for label in LABELS])
    return np.array(rows)


def closeness(bundle: Bundle, samples: Sequence[Array]) -> Callable[[Bundle], float]:
    """A judge: one minus three times the mean error of the scores."""
    expected = scores(bundle, samples)
    return lambda candidate: 1 - 3 * float(np.abs(scores(candidate, samples) - expected).mean())


def faster(_: Path, __: Path, ___: Tensors) -> tuple[float, float]:
    return 2.0, 1.0


def slower(_: Path, __: Path, ___: Tensors) -> tuple[float, float]:
    return 1.0, 1.5


def tried(folder: Path, *goals: Goal, measure: Measure = faster, **how: float) -> tuple[Bundle, list[Outcome]]:
    bundle = classifier(folder, **how)
    return bundle, outcomes_of(bundle, *goals, measure=measure)


def outcomes_of(bundle: Bundle, *goals: Goal, measure: Measure = faster) -> list[Outcome]:
    samples = noise(bundle.manifest.input, 8)
    inputs = inputs_of_stages(bundle, samples)
    judge = closeness(bundle, samples)
    scratch = bundle.folder / "scratch"
    scratch.mkdir()
    return quantize(bundle, goals, inputs, judge, scratch, tolerance=0.02, measure=measure)


def types(path: Path) -> set[str]:
    """Types of the zero points of activations."""
    graph = onnx.load(str(path)).graph
    weights = {each.name: each for each in graph.initializer}
    kinds = {
        weights[node.input[2]].data_type if len(node.input) > 2 else onnx.TensorProto.UINT8
        for node in graph.node
        if node.op_type == "QuantizeLinear"
    }
    return {onnx.TensorProto.DataType.Name(kind) for kind in kinds}


def test_each_back_end_gets_the_integers_it_wants(tmp_path: Path) -> None:
    _, (cpu, gpu) = tried(tmp_path, CPU, GPU)
    assert cpu.path is not None
    assert gpu.path is not None
    assert types(cpu.path) == {"UINT8"}
    assert types(gpu.path) == {"INT8"}
    graph = onnx.load(str(gpu.path)).graph
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in graph.initializer}
    points = [weights[node.input[2]] for node in graph.node if "Quantize" in node.op_type and len(node.input) > 2]
    assert points
    assert all((each == 0).all() for each in points)
    assert (cpu.before - cpu.after, gpu.before - gpu.after) < (0.02, 0.02)
    assert gpu.after_ms is None
    assert "cannot be measured on this machine" in gpu.why


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_ranges_of_other_methods_serve_as_well(tmp_path: Path, method: str) -> None:
    bundle = classifier(tmp_path)
    samples = noise(bundle.manifest.input, 4)
    inputs, judge = inputs_of_stages(bundle, samples), closeness(bundle, samples)
    made = quantize(bundle, [CPU, GPU], inputs, judge, tmp_path, tolerance=0.05, method=method, measure=faster)
    assert all(each.path is not None for each in made), [each.why for each in made]
    assert not {"prepared.onnx", "augmented.onnx"} & {path.name for path in tmp_path.iterdir()}


def test_the_variant_is_used_by_its_back_end_and_the_network_stays(tmp_path: Path) -> None:
    bundle, outcomes = tried(tmp_path, CPU, GPU)
    made = verb.made(bundle, outcomes)
    added = Library(tmp_path / "library").install(made.manifest, made.files)
    opened = Bundle.open(added.bundle.folder)
    assert {path.name for path in opened.folder.glob("*.onnx")} == {
        "net.onnx",
        "only-int8-onnxruntime.onnx",
        "only-int8-tensorrt.onnx",
    }
    network = opened.stage_path("only")
    assert opened.made_for(network, "onnxruntime").name == "only-int8-onnxruntime.onnx"
    assert opened.made_for(network, "tensorrt").name == "only-int8-tensorrt.onnx"
    assert opened.made_for(network, "another") == network
    samples = noise(bundle.manifest.input, 3)
    found = scores(opened, samples)
    [cpu] = [each.path for each in outcomes if each.goal == CPU]
    assert cpu is not None
    np.testing.assert_array_equal(found, scores(with_stages(bundle, {"only": cpu}), samples))
    assert 0 < np.abs(found - scores(bundle, samples)).max() < 0.02


def test_what_has_variants_is_quantised_from_its_network_and_keeps_those_for_other_back_ends(
    tmp_path: Path,
) -> None:
    bundle, outcomes = tried(tmp_path, CPU, GPU)
    made = verb.made(bundle, outcomes)
    again = Bundle(made.manifest, tmp_path, made.files)
    seen: list[Bundle] = []

    def judge(candidate: Bundle) -> float:
        seen.append(candidate)
        return 1.0

    inputs = inputs_of_stages(again, noise(again.manifest.input, 4))
    anew = verb.made(again, quantize(again, [HALF], inputs, judge, tmp_path, measure=faster))
    assert all(stage.variants == () for candidate in seen for stage in candidate.manifest.stages)
    kinds = {each.engine: each.precision for each in anew.manifest.stages[0].variants}
    assert kinds == {"onnxruntime": "float16", "tensorrt": "int8"}
    assert set(anew.files) == {"net.onnx", "only-float16-onnxruntime.onnx", "only-int8-tensorrt.onnx"}


def test_a_variant_that_is_not_faster_is_refused(tmp_path: Path) -> None:
    bundle, [outcome] = tried(tmp_path, CPU, measure=slower)
    assert outcome.path is None
    assert outcome.why == "refused: 1.50 ms is not faster than 1.00 ms without it on this machine"
    assert verb.made(bundle, [outcome]).manifest.stages[0].variants == ()
    assert "refused: 1.50 ms" in verb.report([outcome], "it 1", "agreement").text


def test_the_layers_that_suffer_stay_in_floats(tmp_path: Path) -> None:
    _, [outcome] = tried(tmp_path, CPU, spread=3000.0)
    assert outcome.path is not None
    assert set(outcome.in_float) == {"first conv", "second conv"}
    assert outcome.before - outcome.after <= 0.02
    kinds = [node.op_type for node in onnx.load(str(outcome.path)).graph.node]
    assert kinds.count("Conv") == 4


def test_a_network_that_loses_too_much_is_refused(tmp_path: Path) -> None:
    bundle = classifier(tmp_path)
    inputs = inputs_of_stages(bundle, noise(bundle.manifest.input, 4))
    original = bundle.stage_path("only")

    def judge(candidate: Bundle) -> float:
        return 1.0 if candidate.stage_path("only") == original else 0.5

    [outcome] = quantize(bundle, [CPU], inputs, judge, tmp_path, measure=faster)
    assert outcome.path is None
    assert outcome.why.startswith("refused: it loses 50.0%, more than 1.0%")


def test_a_network_that_loses_exactly_what_is_tolerated_is_kept(tmp_path: Path) -> None:
    bundle = classifier(tmp_path)
    inputs = inputs_of_stages(bundle, noise(bundle.manifest.input, 2))
    original = bundle.stage_path("only")

    def judge(candidate: Bundle) -> float:
        return 0.964 if candidate.stage_path("only") == original else 0.954

    [outcome] = quantize(bundle, [CPU], inputs, judge, tmp_path, measure=faster)
    assert outcome.why == "kept: 0.50 times the time"


def test_only_layers_that_were_put_back_into_floats_are_spoken_of(tmp_path: Path) -> None:
    bundle = bundled(tmp_path, networks.products(tmp_path / "net.onnx", "stack"))
    inputs = inputs_of_stages(bundle, noise(bundle.manifest.input, 2))
    original = bundle.stage_path("only")

    def judge(candidate: Bundle) -> float:
        return 1.0 if candidate.stage_path("only") == original else 0.5

    [outcome] = quantize(bundle, [CPU], inputs, judge, tmp_path, measure=faster)
    assert outcome.why == "refused: it loses 50.0%, more than 1.0%"


@pytest.mark.parametrize("goal", [CPU, GPU])
@pytest.mark.parametrize("awkward", ["row", "scalar", "single", "stack", "plain"])
def test_a_product_of_an_awkward_shape_stays_in_floats_and_the_rest_does_not(
    tmp_path: Path, awkward: str, goal: Goal
) -> None:
    [outcome] = outcomes_of(bundled(tmp_path, networks.products(tmp_path / "net.onnx", awkward)), goal)
    assert outcome.path is not None, outcome.why
    assert outcome.layers == (2 if awkward == "plain" else 1)


@pytest.mark.parametrize("goal", [CPU, GPU])
def test_an_input_may_have_the_name_that_a_tensor_would_get(tmp_path: Path, goal: Goal) -> None:
    path = networks.products(tmp_path / "net.onnx", "plain", given="_0")
    [outcome] = outcomes_of(bundled(tmp_path, path, "_0"), goal)
    assert outcome.path is not None, outcome.why


def test_a_model_of_an_old_exporter_with_its_weights_among_the_inputs_is_quantised(tmp_path: Path) -> None:
    model = onnx.load(str(networks.convolutions(tmp_path / "net.onnx")))
    for weight in model.graph.initializer:
        declared = onnx.helper.make_tensor_value_info(weight.name, weight.data_type, list(weight.dims))
        model.graph.input.append(declared)
    model.ir_version, model.opset_import[0].version = 3, 8
    onnx.save(model, str(tmp_path / "net.onnx"))
    [outcome] = outcomes_of(bundled(tmp_path, tmp_path / "net.onnx"), CPU)
    assert outcome.path is not None, outcome.why


def test_a_layer_that_cannot_be_in_integers_stays_in_floats(tmp_path: Path) -> None:
    [outcome] = outcomes_of(bundled(tmp_path, networks.enlarged(tmp_path / "net.onnx", first=True)), CPU)
    assert outcome.path is not None, outcome.why
    assert outcome.in_float == ("in groups",)


def test_one_goal_that_fails_leaves_the_others(tmp_path: Path) -> None:
    cpu, gpu = outcomes_of(bundled(tmp_path, networks.enlarged(tmp_path / "net.onnx", first=False)), CPU, GPU)
    assert cpu.path is None
    assert cpu.why.startswith("refused: the network cannot be quantised: ")
    assert gpu.path is not None, gpu.why


def wide(folder: Path) -> Bundle:
    """Two stages: one whose values span six powers of ten, as those of a spectrogram, and one of plain convolutions."""
    first = networks.powers(folder / "first.onnx")
    second = networks.convolutions(folder / "second.onnx", given="p", channels=16)
    of = models.manifest("classify", models.pictures(32, 32, fit="stretch"), LABELS, name="classify", threshold=0)
    stages = tuple(Stage(name=each.stem, file=each.name, digest=of_file(each)) for each in (first, second))
    files = {"first.onnx": first, "second.onnx": second}
    return Bundle(of.model_copy(update={"stages": stages}), folder, files)


def test_where_integers_lose_too_much_the_weights_alone_become_integers(tmp_path: Path) -> None:
    bundle = wide(tmp_path)
    samples = noise(bundle.manifest.input, 8)
    inputs = inputs_of_stages(bundle, samples)
    judge = closeness(bundle, samples)
    (tmp_path / "scratch").mkdir()
    first, second = quantize(bundle, [CPU], inputs, judge, tmp_path / "scratch", tolerance=0.02, measure=faster)
    assert first.path is not None
    assert first.why.startswith("kept for its size: weights in integers, sums in floats, 0.50 times the time")
    assert "all in integers refused: it loses" in first.why
    assert first.after_bytes < first.before_bytes / 2.5  # and a node or two
    assert types(first.path) == set()
    assert second.path is not None
    assert types(second.path) == {"UINT8"}
    made = verb.made(bundle, [first, second])
    assert judge(Bundle(made.manifest, tmp_path, made.files)) >= 1 - 0.02


def test_weights_in_another_file_count_for_the_size(tmp_path: Path) -> None:
    inside, [known] = tried(tmp_path, HALF)
    folder = tmp_path / "outside"
    folder.mkdir()
    model = onnx.load(str(inside.stage_path("only")))
    path = folder / "net.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    [outcome] = outcomes_of(bundled(folder, path), HALF)
    assert outcome.before_bytes == pytest.approx(known.before_bytes, rel=0.1)
    assert outcome.after_bytes == pytest.approx(known.after_bytes, rel=0.1)


def test_stages_that_lose_too_much_only_together_are_not_all_kept(tmp_path: Path) -> None:
    bundle = wide(tmp_path)
    inputs = inputs_of_stages(bundle, noise(bundle.manifest.input, 2))
    originals = {stage.name: bundle.stage_path(stage.name) for stage in bundle.manifest.stages}

    def judge(candidate: Bundle) -> float:
        """Either stage may become integers, both lose too much."""
        costs = {"first": 0.006, "second": 0.008}
        return 1 - sum(cost for name, cost in costs.items() if candidate.stage_path(name) != originals[name])

    first, second = quantize(bundle, [CPU], inputs, judge, tmp_path, tolerance=0.01, measure=faster)
    assert second.path is not None, "it saves more bytes"
    assert first.path is None
    assert first.why == "refused: together with the other stages 1.4% is lost, more than 1.0%"


def test_half_precision_answers_nearly_the_same(tmp_path: Path) -> None:
    _, [outcome] = tried(tmp_path, HALF)
    assert outcome.path is not None
    assert outcome.after_bytes < 0.65 * outcome.before_bytes
    with OnnxEngine(outcome.path) as engine:
        assert {spec.dtype.name for spec in (*engine.inputs, *engine.outputs)} == {"float32"}


def test_half_precision_is_made_for_onnxruntime_alone() -> None:
    assert goals((), "int8") == [CPU, GPU]
    assert goals(("tensorrt",), "int8") == [GPU]
    assert goals((), "float16") == goals(("onnxruntime",), "float16") == [HALF]
    with pytest.raises(WorkbenchError, match="TensorRT makes half precision itself when it builds the plan"):
        goals(("onnxruntime", "tensorrt"), "float16")


def test_calibration_without_frames_and_networks_without_layers_are_refused(tmp_path: Path) -> None:
    bundle = classifier(tmp_path)
    with pytest.raises(WorkbenchError, match="no frame to calibrate with"):
        quantize(bundle, [CPU], [[]], lambda _: 1.0, tmp_path)
    of = models.manifest("classify", models.pictures(32, 32, fit="stretch"), ["bright", "dark"], name="classify")
    plain = models.bundle(of, networks.quadrant(tmp_path / "quadrant.onnx"))
    inputs = inputs_of_stages(plain, noise(plain.manifest.input, 2))
    with pytest.raises(WorkbenchError, match="there is no convolution or matrix product"):
        quantize(plain, [CPU], inputs, lambda _: 1.0, tmp_path)


def test_a_network_in_half_precision_is_called_so(tmp_path: Path) -> None:
    [outcome] = outcomes_of(bundled(tmp_path, networks.half(tmp_path / "net.onnx")), CPU)
    assert (outcome.path, outcome.why) == (None, "refused: its weights are 16-bit floats: export it in float32")


def test_a_real_detector_says_the_same_in_integers(data: Path, tmp_path: Path) -> None:
    import cv2

    bundle = Library(tmp_path).find(data / "models" / "ultraface-slim-320.onnx")
    pictures = [cv2.imread(str(path)) for path in sorted((data / "images").glob("*.jpg"))]
    samples = [each for each in pictures if each is not None]

    def judge(candidate: Bundle) -> float:
        with Model(bundle) as one, Model(candidate) as other:
            found = compare(one, other, samples)
        assert found.answers > 20
        return found.share

    inputs = inputs_of_stages(bundle, samples)
    for outcome in quantize(bundle, [CPU, GPU], inputs, judge, tmp_path, tolerance=0.05, measure=faster):
        assert outcome.path is not None
        assert outcome.after_bytes < outcome.before_bytes / 2.5


# -- manifest ---------------------------------------------------------------------------------------------------------


def test_a_manifest_without_variants_keeps_its_name() -> None:
    known = {
        "tones": "sha256:e6c4c92a89522c177f43d3d797c002e3b9fb587c1b292bca83f5820ccd9ed711",
        "shapes": "sha256:4513c19db705c67a267b70532fff5e49ddcc9b21b4dc23da5ab1604f710ec708",
    }
    for name, digest in known.items():
        assert Bundle.open(ROOT / "appliance" / "bundles" / name / "1").manifest.digest == digest


def test_a_stage_has_one_variant_for_a_back_end_and_every_file_one_place() -> None:
    def manifest(*variants: dict[str, str]) -> Manifest:
        of = models.manifest("classify", models.pictures(8, 8, fit="stretch"), LABELS, name="classify")
        document = of.model_dump(by_alias=True)
        document["stages"][0]["variants"] = variants
        return Manifest.model_validate(document)

    one = {"engine": "onnxruntime", "precision": "int8", "file": "a.onnx", "digest": models.ANY_DIGEST}
    assert manifest(one).networks["a.onnx"] == models.ANY_DIGEST
    with pytest.raises(ValueError, match="two variants for the same engine"):
        manifest(one, one | {"file": "b.onnx"})
    with pytest.raises(ValueError, match="two stages or files have the same name"):
        manifest(one, one | {"engine": "tensorrt"})


def test_a_damaged_variant_is_noticed(tmp_path: Path) -> None:
    bundle, outcomes = tried(tmp_path, CPU)
    made = verb.made(bundle, outcomes)
    written = write_bundle(tmp_path / "written", made.manifest, made.files)
    (written.folder / "only-int8-onnxruntime.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"only-int8-onnxruntime\.onnx is damaged or was changed"):
        Bundle.open(written.folder)
