"""8-bit integers and NVIDIA's real TensorRT-RTX builder: our own variants of the shipped models, without a GPU.

What runs in integers and how fast is for a GPU to tell; here is what the builder takes, and what it says of the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from engines.bundle import Bundle
from engines.engine import EngineError
from engines.onnxrt import OnnxEngine
from engines.tensorrt.builder import Builder, Building, Failed
from engines.tensorrt.golden import golden_inputs
from engines.tensorrt.job import BuildCancelled
from engines.tensorrt.options import GpuOptions, Target
from engines.tensorrt.precision import write_fp16
from engines.tensorrt.recipe import Recipe, recipe_of
from engines.workbench.graph import Graph
from engines.workbench.integers import Integers
from tests import networks
from tests.engines.tensorrt.test_rtx_builder import ANY_NEWS, SHIPPED, STAGES, WHY_NOT
from tests.waiting import until

pytestmark = [pytest.mark.skipif(WHY_NOT is not None, reason=f"no TensorRT-RTX: {WHY_NOT}"), pytest.mark.system]

TURING, AMPERE, ADA, BLACKWELL = (7, 5), (8, 6), (8, 9), (12, 0)
WITH_WEIGHTS = [(model, stage) for model, stage in STAGES if model != "shapes"]
"""`shapes` compares colours: there is no layer with weights in it."""
RECOGNISER = ("spoken-digits", "recogniser")

Variant = Callable[[str, str, str], Recipe]


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Variant:
    """A stage with its variant in integers, as `appliance models quantize` makes it. `form`: `tensorrt` (S8S8) or
    `onnxruntime` (U8S8), weights and activations; `weights`, and all else in floats."""
    made: dict[tuple[str, str, str], Recipe] = {}

    def variant_of(model: str, stage: str, form: str) -> Recipe:
        if (model, stage, form) not in made:
            recipe = recipe_of(Bundle.open(SHIPPED / model / "1"), stage, GpuOptions())
            folder = tmp_path_factory.mktemp(f"{model}-{stage}-{form}")
            with OnnxEngine(recipe.network) as engine:
                samples = golden_inputs(recipe, engine.inputs)
            back_end = "onnxruntime" if form == "onnxruntime" else "tensorrt"
            integers = Integers(Graph.load(recipe.network), back_end, samples, folder, "minmax")
            path = folder / f"{stage}.int8.onnx"
            if form == "weights":
                integers.write_weights(path)
            else:
                integers.write(path)
            made[model, stage, form] = replace(recipe, int8=path)
        return made[model, stage, form]

    return variant_of


def aimed_at(capability: tuple[int, int]) -> Target:
    return Target("tensorrt_rtx 1.7.1.116", "a desktop's", capability)


def plan_for(recipe: Recipe, capability: tuple[int, int], report: Callable[[float, str], bool] = ANY_NEWS) -> bytes:
    """Of the variant in integers."""
    from engines.tensorrt.build import build

    assert recipe.int8 is not None
    return build(recipe.int8, recipe.options, aimed_at(capability), recipe.sizes, b"", report).plan


def integers_in(path: Path) -> int:
    return sum(node.op_type == "DequantizeLinear" for node in onnx.load(str(path)).graph.node)


@pytest.mark.parametrize("capability", [AMPERE, ADA, BLACKWELL])
@pytest.mark.parametrize("form", ["tensorrt", "weights"])
@pytest.mark.parametrize(("model", "stage"), WITH_WEIGHTS)
def test_the_shipped_models_build_in_integers(
    model: str, stage: str, form: str, capability: tuple[int, int], variant: Variant
) -> None:
    recipe = variant(model, stage, form)
    assert recipe.int8 is not None
    assert integers_in(recipe.int8) > 0
    seen: list[float] = []

    def report(fraction: float, phase: str) -> bool:
        seen.append(fraction)
        return True

    plan = plan_for(recipe, capability, report)
    assert len(plan) > 1000
    assert seen == sorted(seen)
    assert len(seen) > 3
    assert 0 <= seen[0] <= seen[-1] <= 1


def test_the_other_shipped_model_has_no_layer_to_put_in_integers(tmp_path: Path) -> None:
    recipe = recipe_of(Bundle.open(SHIPPED / "shapes" / "1"), "main", GpuOptions())
    assert Integers(Graph.load(recipe.network), "tensorrt", [], tmp_path, "minmax").heavy == []


def test_a_build_in_integers_can_be_cancelled_on_its_way(variant: Variant) -> None:
    seen: list[float] = []

    def report(fraction: float, phase: str) -> bool:
        seen.append(fraction)
        return len(seen) < 3

    with pytest.raises(BuildCancelled, match=r"main\.int8\.onnx: the build was cancelled"):
        plan_for(variant("digits", "main", "tensorrt"), AMPERE, report)
    assert len(seen) == 3


def test_the_process_that_builds_in_integers_tells_its_way_and_ends_when_it_is_not_wanted(
    tmp_path: Path, variant: Variant
) -> None:
    recipe = replace(variant("digits", "main", "tensorrt"), options=GpuOptions(plans=tmp_path / "plans"))
    builder = Builder(recipe, aimed_at(AMPERE))

    def at_work() -> bool:
        state = builder.poll()
        assert isinstance(state, Building), state
        return state.phase.startswith("int8: ")

    until(at_work, within_s=30)
    builder.cancel()
    assert builder.poll() == Failed("the build was cancelled")
    assert list((tmp_path / "plans").glob("*.plan")) == []


def test_on_turing_matrix_products_around_integers_are_refused_and_half_precision_is_named_and_builds(
    tmp_path: Path, variant: Variant
) -> None:
    recipe = variant(*RECOGNISER, "tensorrt")
    with pytest.raises(EngineError) as refused:
        plan_for(recipe, TURING)
    assert str(refused.value) == (
        "TensorRT cannot build recogniser.int8.onnx: TensorRT-RTX multiplies matrices on this GPU (Turing) in half "
        'precision only, also those around 8-bit integers: use precision = "fp16"'
    )
    half = replace(recipe, int8=write_fp16(recipe.network, tmp_path))
    assert len(plan_for(half, TURING)) > 1000


def test_by_itself_it_goes_on_with_half_precision_where_integers_are_refused(tmp_path: Path, variant: Variant) -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    recipe = replace(variant(*RECOGNISER, "tensorrt"), options=GpuOptions(plans=tmp_path / "plans"))
    with Builder(recipe, aimed_at(TURING)) as builder:
        state = builder.wait(60)
    assert isinstance(state, Failed)
    integers, rest = state.reason.split("; fp16: ")
    half, single = rest.split("; fp32: ")
    assert integers.startswith("int8: TensorRT cannot build recogniser.int8.onnx: TensorRT-RTX multiplies matrices")
    assert half.startswith("no CUDA d"), "it was built, and there is no GPU here to try it on"
    assert single.startswith("TensorRT cannot build recogniser.onnx: TensorRT-RTX multiplies matrices")


FOR_THE_PROCESSOR = (
    "TensorRT cannot read {}: its 8-bit integers are those for ONNX Runtime, TensorRT wants them without zero points "
    "and with biases in floats: make such a variant with `appliance models quantize --for tensorrt`, or use "
    'precision = "fp16"'
)


@pytest.mark.parametrize(("model", "stage"), WITH_WEIGHTS)
def test_the_variant_for_the_processor_is_refused_in_a_sentence(model: str, stage: str, variant: Variant) -> None:
    with pytest.raises(EngineError) as refused:
        plan_for(variant(model, stage, "onnxruntime"), AMPERE)
    assert str(refused.value) == FOR_THE_PROCESSOR.format(f"{stage}.int8.onnx")


WEIGHTS = np.random.default_rng(0).integers(-127, 128, (8, 8, 3, 3))


def convolution(path: Path, weights: str = "int8", zero: int = 0, bias: str = "float32") -> Path:
    """One layer with weights in integers."""
    kind = np.dtype(weights)
    given = {
        "w": (WEIGHTS if kind == np.int8 else WEIGHTS + 128).astype(kind),
        "sw": np.full(8, 0.01, np.float32),
        "zw": np.full(8, zero, kind),
        "b": np.zeros(8, bias),
        "sb": np.full(8, 0.01, np.float32),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=0),
        helper.make_node("Conv", ["x", "wd", "bd" if bias == "int32" else "b"], ["y"], pads=[1, 1, 1, 1]),
    ]
    if bias == "int32":
        nodes.insert(1, helper.make_node("DequantizeLinear", ["b", "sb"], ["bd"], axis=0))
    used = {name for node in nodes for name in node.input}
    shape = [1, 8, 32, 32]
    tensors = [networks.tensor("x", shape)], [networks.tensor("y", shape)]
    return networks.write(path, nodes, *tensors, weights={n: v for n, v in given.items() if n in used})


def test_signed_symmetric_weights_are_what_it_takes(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path, GpuOptions(), int8=convolution(tmp_path / "layer.onnx"))
    assert len(plan_for(recipe, AMPERE)) > 1000


@pytest.mark.parametrize("form", [{"zero": 3}, {"weights": "uint8", "zero": 128}, {"bias": "int32"}])
def test_other_forms_of_integers_are_refused_with_what_to_do(form: dict[str, Any], tmp_path: Path) -> None:
    path = convolution(tmp_path / "layer.onnx", **form)
    with pytest.raises(EngineError) as refused:
        plan_for(Recipe(tmp_path, GpuOptions(), int8=path), AMPERE)
    assert str(refused.value) == FOR_THE_PROCESSOR.format("layer.onnx")


def test_a_gpu_that_the_edition_for_desktops_does_not_know_is_told_where_to_go(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path, GpuOptions(), int8=convolution(tmp_path / "layer.onnx"))
    with pytest.raises(EngineError, match=r"does not know compute capability 8\.7: .*; install TensorRT itself"):
        plan_for(recipe, (8, 7))
