"""Building with NVIDIA's real TensorRT-RTX, which needs no GPU for it. Integers: test_rtx_integers.

Where the package is missing these are skipped: pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import helper

from engines.bundle import Bundle
from engines.engine import EngineError, EngineUnavailable
from engines.manifest import Stage
from engines.tensorrt import bindings
from engines.tensorrt.builder import Builder, Building, Failed
from engines.tensorrt.job import BuildCancelled
from engines.tensorrt.options import GpuOptions, Target
from engines.tensorrt.precision import write_fp16
from engines.tensorrt.recipe import Recipe, recipe_of
from engines.tensorrt.selection import with_selection
from tests import networks
from tests.engines.tensorrt.test_selection import DETECTOR, HEIGHT, WIDTH, detector
from tests.waiting import until


def _why_not() -> str | None:
    try:
        name, _ = bindings.edition(bindings.load())
    except EngineUnavailable as error:
        return str(error)
    return None if name == "tensorrt_rtx" else "another TensorRT is here"


WHY_NOT = _why_not()
pytestmark = [pytest.mark.skipif(WHY_NOT is not None, reason=f"no TensorRT-RTX: {WHY_NOT}"), pytest.mark.system]

SHIPPED = Path(__file__).parents[3] / "appliance" / "bundles"
TARGET = Target("tensorrt_rtx 1.7.1.116", "a desktop's", (8, 6))
ANY_NEWS: Callable[[float, str], bool] = lambda fraction, phase: True  # noqa: E731


def _stages(model: Path) -> tuple[Stage, ...]:
    return Bundle.open(model / "1").manifest.stages


def plan_of(network: Path, report: Any = ANY_NEWS, sizes: Any = None, **more: Any) -> bytes:
    from engines.tensorrt.build import build

    return build(network, GpuOptions(**more), TARGET, sizes or {}, b"", report).plan


STAGES = [(model.name, stage.name) for model in sorted(SHIPPED.iterdir()) for stage in _stages(model)]


@pytest.mark.parametrize(("model", "stage"), STAGES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_shipped_models_build(model: str, stage: str, precision: str, tmp_path: Path) -> None:
    recipe = recipe_of(Bundle.open(SHIPPED / model / "1"), stage, GpuOptions())
    network = recipe.network if precision == "fp32" else write_fp16(recipe.network, tmp_path)
    seen: list[float] = []

    def report(fraction: float, phase: str) -> bool:
        seen.append(fraction)
        return True

    plan = plan_of(network, report, recipe.sizes)
    assert len(plan) > 1000
    assert seen == sorted(seen)
    assert len(seen) > 3
    assert 0 <= seen[0] <= seen[-1] <= 1


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_network_that_chooses_its_best_boxes_builds(precision: str, tmp_path: Path) -> None:
    network = detector(tmp_path / "detector.onnx")
    network = network if precision == "fp32" else write_fp16(network, tmp_path)
    choosing = with_selection(network, DETECTOR, tmp_path)
    assert choosing is not None
    assert len(plan_of(choosing, sizes={"x": (3, HEIGHT, WIDTH)})) > 1000


def test_a_network_for_any_number_of_samples_builds_with_a_profile_for_one_and_one_for_several(tmp_path: Path) -> None:
    one = plan_of(networks.double(tmp_path / "double.onnx"), most_rows=1)
    both = plan_of(networks.double(tmp_path / "double.onnx"), most_rows=8)
    assert len(both) > len(one) > 0


def test_an_accelerator_that_a_desktop_has_not_is_told_and_the_gpu_taken(tmp_path: Path) -> None:
    from engines.tensorrt.build import build

    path = networks.convolution(tmp_path / "convolution.onnx")
    product = build(path, GpuOptions(dla_core=0), TARGET, {}, b"", ANY_NEWS)
    assert product.plan
    assert product.notes == ("dla_core = 0: this device has no such cores for this TensorRT; it is on the GPU",)


def test_an_input_of_any_size_is_refused_with_what_to_do(tmp_path: Path) -> None:
    x, y = networks.tensor("x", ["n", 3, "h", "w"]), networks.tensor("y", ["n", 3, "h", "w"])
    path = networks.write(tmp_path / "free.onnx", [helper.make_node("Relu", ["x"], ["y"])], [x], [y])
    with pytest.raises(EngineError, match=r"input x has shape .*: TensorRT needs every size .* export the model"):
        plan_of(path)
    assert plan_of(path, sizes={"x": (3, 32, 32)})


def test_a_report_that_says_no_cancels(tmp_path: Path) -> None:
    with pytest.raises(BuildCancelled):
        plan_of(networks.convolution(tmp_path / "convolution.onnx"), lambda fraction, phase: False)


def test_a_report_that_breaks_cancels_and_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken(fraction: float, phase: str) -> bool:
        raise KeyError("broken")

    with pytest.raises(BuildCancelled):
        plan_of(networks.convolution(tmp_path / "convolution.onnx"), broken)
    assert "its progress could not be told" in caplog.text


@pytest.mark.parametrize(
    ("content", "words"), [(b"hello", "rubbish.onnx"), (b"", "rubbish.onnx"), (None, "rubbish.onnx")]
)
def test_what_is_no_network_is_an_error_with_the_name_of_the_file(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "rubbish.onnx").write_bytes(content)
    with pytest.raises(EngineError, match=words):
        plan_of(tmp_path / "rubbish.onnx")


def test_an_operator_that_nobody_has_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Frobnicate"):
        plan_of(networks.unknown_operator(tmp_path / "unknown.onnx", domain="com.example"))


def test_weights_in_a_file_beside_it_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = networks.external(tmp_path / "external.onnx")
    monkeypatch.chdir("/")
    assert plan_of(path, most_rows=1)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(EngineError, match=r"external\.onnx"):
        plan_of(path)


def test_other_threads_of_python_go_on_while_it_builds(tmp_path: Path) -> None:
    done = threading.Event()
    path = networks.convolution(tmp_path / "convolution.onnx")

    def body() -> None:
        try:
            plan_of(path)
        finally:
            done.set()

    turns = 0
    thread = threading.Thread(target=body, name="build")
    thread.start()
    while not done.wait(0.0005):
        turns += 1
    thread.join()
    assert turns > 3


# -- in its own process -----------------------------------------------------------------------------------------------


def test_without_a_gpu_the_process_builds_and_says_why_it_cannot_try_the_plan(tmp_path: Path) -> None:
    if Path("/dev/nvidia0").exists():
        pytest.skip("there is a GPU here")
    recipe = Recipe(networks.double(tmp_path / "double.onnx"), GpuOptions(plans=tmp_path / "plans", precision="fp32"))
    with Builder(recipe, TARGET) as builder:
        state = builder.wait(60)
    assert isinstance(state, Failed)
    assert state.reason.startswith("fp32: no CUDA d")
    assert list((tmp_path / "plans").glob("*.plan")) == []


def test_a_killed_build_leaves_nothing_that_would_be_believed(tmp_path: Path) -> None:
    recipe = Recipe(networks.convolution(tmp_path / "convolution.onnx"), GpuOptions(plans=tmp_path / "plans"))
    builder = Builder(recipe, TARGET)
    until(lambda: builder.poll() != Building(0.0, "starting"), within_s=30)
    os.kill(builder.pid, signal.SIGKILL)
    state = builder.wait(10)
    assert isinstance(state, Failed)
    assert "was killed; there may be too little memory" in state.reason
    assert list((tmp_path / "plans").glob("*.plan")) == []
