"""The engine on real PyCUDA and a CUDA driver that works on host memory; TensorRT is a stand-in that computes with ONNX
Runtime. scripts/check_tensorrt makes both and runs this; see fake_gpu/.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from engines.choose import choose
from engines.engine import Array, EngineError, EngineUnavailable
from engines.gpu import probe
from engines.model import Model
from engines.tensorrt.builder import Builder, Building, Built, Failed
from engines.tensorrt.engine import PlanNeeded, TensorRTEngine, engine_for, offer
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.plan_cache import PlanCache
from engines.tensorrt.recipe import Recipe
from tests import networks
from tests.engines import models
from tests.waiting import until


def _why_not() -> str | None:
    try:
        if probe().name == "Fake GPU":
            return None if offer().target.tensorrt.startswith("tensorrt 1") else "no stand-in for TensorRT"
        return "there is a real GPU: scripts/gpu_check is for it"
    except EngineUnavailable as error:
        return f"no fake GPU here ({error}): run scripts/check_tensorrt"


WHY_NOT = _why_not()
pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture
def options(tmp_path: Path) -> GpuOptions:
    return GpuOptions(plans=tmp_path / "plans")


def built(recipe: Recipe) -> Recipe:
    """With its plan in the cache."""
    with Builder(recipe, offer().target) as builder:
        state = builder.wait(30)
    assert isinstance(state, Built), state
    return recipe


@pytest.fixture
def double(tmp_path: Path, options: GpuOptions) -> Recipe:
    return built(Recipe(networks.double(tmp_path / "double.onnx"), options))


def ones(rows: int, value: float = 1) -> Array:
    return np.full((rows, 4), value, np.float32)


# -- running ----------------------------------------------------------------------------------------------------------


def test_the_answer_is_right_for_any_number_of_samples(double: Recipe) -> None:
    with engine_for(double) as engine:
        for rows in (1, 3, 2, 8, 5, 20):
            x = np.random.default_rng(rows).random((rows, 4), np.float32)
            np.testing.assert_array_equal(engine.run({"x": x})["y"], x + x)


def test_the_work_of_a_frame_is_recorded_once_and_new_contents_count(double: Recipe) -> None:
    with engine_for(double) as engine:
        for value in range(5):
            np.testing.assert_array_equal(engine.run({"x": ones(1, value)})["y"], ones(1, 2 * value))
        assert engine.recorded


def test_without_recording_the_answer_is_the_same(double: Recipe) -> None:
    plain = Recipe(double.network, GpuOptions(plans=double.options.plans, graph=False))
    with engine_for(plain) as engine:
        np.testing.assert_array_equal(engine.run({"x": ones(2)})["y"], ones(2, 2))
        assert not engine.recorded


def test_work_that_cannot_be_recorded_is_done_piece_by_piece(double: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKECUDA_NO_CAPTURE", "1")
    with engine_for(double) as engine:
        for value in (1, 2):
            np.testing.assert_array_equal(engine.run({"x": ones(1, value)})["y"], ones(1, 2 * value))
        assert not engine.recorded


def test_opening_and_closing_gives_all_memory_of_the_gpu_back(double: Recipe) -> None:
    from engines.tensorrt.cuda import Cuda

    with Cuda() as cuda:
        before = cuda.free_bytes()
    for _ in range(3):
        with engine_for(double) as engine:
            engine.run({"x": ones(4)})
    gc.collect()
    with Cuda() as cuda:
        assert cuda.free_bytes() == before


def test_nothing_is_left_at_the_end_of_the_process(double: Recipe, tmp_path: Path) -> None:
    program = f"""
import numpy as np
from pathlib import Path
from engines.tensorrt.engine import engine_for
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe
with engine_for(Recipe(Path({str(double.network)!r}), GpuOptions(plans=Path({str(double.options.plans)!r})))) as engine:
    for rows in (1, 2, 8):
        engine.run({{"x": np.ones((rows, 4), np.float32)}})
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"FAKECUDA_REPORT": "1"}, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_two_threads_run_two_engines_at_once(double: Recipe) -> None:
    faults: list[BaseException] = []

    def body(value: int) -> None:
        try:
            with engine_for(double) as engine:
                for _ in range(200):
                    np.testing.assert_array_equal(engine.run({"x": ones(1, value)})["y"], ones(1, 2 * value))
        except BaseException as error:  # told to the thread that asserts
            faults.append(error)

    threads = [threading.Thread(target=body, args=(value,), name=f"model {value}") for value in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert faults == []


def test_a_call_from_a_thread_without_the_context_is_an_error_and_no_crash(double: Recipe) -> None:
    said: list[str] = []

    def body(engine: TensorRTEngine) -> None:
        try:
            engine.run({"x": ones(1)})
        except EngineError as error:
            said.append(str(error))

    with engine_for(double) as engine:
        engine.run({"x": ones(1)})
        thread = threading.Thread(target=body, args=(engine,), name="another")
        thread.start()
        thread.join(10)
        assert said, "it must be refused"
        np.testing.assert_array_equal(engine.run({"x": ones(1)})["y"], ones(1, 2))


def test_a_context_that_has_died_ends_the_process_and_is_no_engine_error(double: Recipe) -> None:
    program = f"""
import numpy as np, sys
from pathlib import Path
from engines.engine import EngineError, EngineLost
from engines.tensorrt.engine import engine_for
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe
recipe = Recipe(Path({str(double.network)!r}), GpuOptions(plans=Path({str(double.options.plans)!r})))
try:
    with engine_for(recipe) as engine:
        for _ in range(100):
            engine.run({{"x": np.ones((1, 4), np.float32)}})
except EngineError:
    sys.exit(1)
except EngineLost as error:
    print(error)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"FAKECUDA_DIES_AFTER": "20"}, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert "the GPU takes no more work from this process (CUDA 700)" in ended.stdout


def test_too_little_memory_is_a_refusal_and_onnxruntime_serves(double: Recipe) -> None:
    program = f"""
from contextlib import ExitStack
from pathlib import Path
from engines.choose import open_first
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe
recipe = Recipe(Path({str(double.network)!r}), GpuOptions(plans=Path({str(double.options.plans)!r})))
with ExitStack() as stack:
    choice = open_first(stack, recipe)
    print(choice.engine.name, *choice.refusals)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"FAKECUDA_MEMORY_MB": "0"}, capture_output=True, text=True
    )
    assert ended.stdout.startswith("onnxruntime tensorrt: the GPU has no room for"), ended.stderr


def test_an_output_whose_size_depends_on_the_picture_is_refused(tmp_path: Path, options: GpuOptions) -> None:
    x, y = networks.tensor("x", [1, 4]), networks.tensor("unknown", ["n", 4])
    path = networks.write(tmp_path / "nms.onnx", [helper.make_node("Identity", ["x"], ["unknown"])], [x], [y])
    with Builder(Recipe(path, options), offer().target) as builder:
        state = builder.wait(30)
    assert isinstance(state, Failed)
    assert "the shape of output unknown depends on what the network sees" in state.reason


# -- pictures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def brightness(tmp_path: Path, options: GpuOptions) -> Model:
    """Its scores are the mean of each channel of the prepared picture: shows what the network was given."""
    x, y = networks.tensor("x", ["n", 3, 32, 48]), networks.tensor("y", ["n", 3])
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("Identity", ["m"], ["y"]),
    ]
    path = networks.write(tmp_path / "brightness.onnx", nodes, [x], [y])
    manifest = models.manifest(
        "classify",
        models.pictures(48, 32, batch=None, fit="letterbox"),
        ("red", "green", "blue"),
        name="classify",
        threshold=0,
    )
    return Model(models.bundle(manifest, path), engine="tensorrt", gpu=options)


def build_for(model: Model) -> None:
    try:
        with model:
            raise AssertionError("there is no plan yet")
    except EngineUnavailable as error:
        needed = next(each for each in _causes(error) if isinstance(each, PlanNeeded))
        built(needed.recipe)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def scores(answer: Any) -> dict[str, float]:
    assert not isinstance(answer, EngineError), answer
    return {each.label: each.score for each in answer.predictions}


@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize("integrated", ["1", "0"])
def test_pictures_are_seen_as_on_the_processor(
    brightness: Model, options: GpuOptions, kernel: bool, integrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engines.tensorrt import kernels

    monkeypatch.setenv("FAKECUDA_INTEGRATED", integrated)
    build_for(brightness)
    if kernel:  # the fake driver takes any image: its kernels are functions of a library
        kernels.fatbin_path((8, 7), options.folder).write_bytes(b"an image")
    random = np.random.default_rng(0)
    sizes = [(48, 64), (100, 30), (32, 48), (480, 640), (31, 33)]
    pictures = [random.integers(0, 256, (*size, 3), np.uint8) for size in sizes]
    with Model(brightness._bundle, engine="onnxruntime") as reference:
        expected = [scores(answer) for answer in reference.predict(pictures)]
    with brightness as model:
        assert model.engine_name == "tensorrt"
        for _ in range(3):
            for picture, wanted in zip(pictures, expected, strict=True):
                [answer] = model.predict([picture])
                assert scores(answer) == pytest.approx(wanted, abs=2e-3)
            together = model.predict(pictures)
            for answer, wanted in zip(together, expected, strict=True):
                assert scores(answer) == pytest.approx(wanted, abs=2e-3)


# -- building ---------------------------------------------------------------------------------------------------------


def test_a_build_tells_how_far_it_is_and_what_it_came_to(tmp_path: Path, options: GpuOptions) -> None:
    recipe = Recipe(networks.double(tmp_path / "double.onnx"), options)
    seen: list[float] = []
    with Builder(recipe, offer().target) as builder:

        def over() -> bool:
            state = builder.poll()
            if isinstance(state, Building):
                seen.append(state.fraction)
            return not isinstance(state, Building)

        until(over, within_s=30)
        state = builder.poll()
    assert isinstance(state, Built)
    assert state.description.precision == "fp16"
    assert seen == sorted(seen)
    assert PlanCache(options.folder).load(recipe.key(offer().target)).description == state.description


def test_a_network_that_half_precision_spoils_is_built_in_single(tmp_path: Path, options: GpuOptions) -> None:
    """Its numbers are beyond what half precision can hold."""
    x, y = networks.tensor("x", [1, 4]), networks.tensor("y", [1, 4])
    nodes = [
        helper.make_node("Mul", ["x", "large"], ["m"]),
        helper.make_node("Mul", ["m", "small"], ["y"]),
    ]
    weights = {"large": np.float32(1e6), "small": np.float32(1e-6)}
    path = networks.write(tmp_path / "wide.onnx", nodes, [x], [y], weights=weights)
    with Builder(Recipe(path, options), offer().target) as builder:
        state = builder.wait(30)
    assert isinstance(state, Built)
    assert state.description.precision == "fp32"


def test_a_precision_that_is_asked_for_and_refused_says_why(tmp_path: Path) -> None:
    x, y = networks.tensor("x", [1, 4]), networks.tensor("y", [1, 4])
    nodes = [
        helper.make_node("Mul", ["x", "large"], ["m"]),
        helper.make_node("Mul", ["m", "small"], ["y"]),
    ]
    weights = {"large": np.float32(1e6), "small": np.float32(1e-6)}
    path = networks.write(tmp_path / "wide.onnx", nodes, [x], [y], weights=weights)
    recipe = Recipe(path, GpuOptions(plans=tmp_path / "plans", precision="fp16"))
    with Builder(recipe, offer().target) as builder:
        state = builder.wait(30)
    assert isinstance(state, Failed)
    assert state.reason.startswith("fp16: built and refused: ")


def test_a_build_that_nobody_wants_any_more_ends_soon(tmp_path: Path, options: GpuOptions) -> None:
    path = networks.double(tmp_path / "slow.onnx")
    builder = Builder(Recipe(path, options), offer().target)
    until(lambda: builder.poll() != Building(0.0, "starting"), within_s=20)
    begun_s = time.monotonic()
    builder.cancel()
    assert time.monotonic() - begun_s < 3
    assert builder.poll() == Failed("the build was cancelled")
    assert list(options.folder.glob("*.plan")) == []


def test_a_builder_that_crashes_is_a_reason_and_nothing_more(tmp_path: Path, options: GpuOptions) -> None:
    path = networks.double(tmp_path / "crash.onnx")
    with Builder(Recipe(path, options), offer().target) as builder:
        state = builder.wait(30)
    assert state == Failed("the process that built it crashed (SIGABRT)")


def test_the_next_build_knows_what_the_last_one_measured(double: Recipe, tmp_path: Path) -> None:
    cache = PlanCache(double.options.folder)
    first = cache.timings(offer().target)
    built(Recipe(networks.external(tmp_path / "external.onnx"), double.options))
    assert first.startswith(b"timings")
    assert len(cache.timings(offer().target)) > len(first)


# -- plans of no use --------------------------------------------------------------------------------------------------


def damage_by_cutting(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def damage_by_changing(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def damage_by_emptying(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_by_cutting, damage_by_changing, damage_by_emptying])
def test_a_damaged_plan_is_refused_in_a_sentence_and_onnxruntime_serves(double: Recipe, damage: Any) -> None:
    from contextlib import ExitStack

    from engines.choose import open_first

    path = PlanCache(double.options.folder).path(double.key(offer().target))
    damage(path)
    with ExitStack() as stack:
        choice = open_first(stack, double)
        assert choice.engine.name == "onnxruntime"
        np.testing.assert_array_equal(choice.engine.run({"x": ones(1)})["y"], ones(1, 2))
    [refusal] = choice.refusals
    assert "it was removed and is built again" in refusal.reason
    assert isinstance(refusal.error, PlanNeeded)
    assert not path.exists()


def test_a_plan_of_another_tensorrt_is_never_even_found(double: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorrt

    monkeypatch.setattr(tensorrt, "__version__", "10.13.3.9")
    choice = choose(double.network, gpu=double.options)
    assert choice.engine.name == "onnxruntime"
    assert "no plan has been built for this network on this machine yet" in choice.refusals[0].reason


def test_a_sealed_plan_that_tensorrt_does_not_take_is_built_again(double: Recipe) -> None:
    from engines.tensorrt.plan_cache import Description, Plan

    cache, key = PlanCache(double.options.folder), double.key(offer().target)
    cache.store(key, Plan(b"rubbish", Description("fp32", "", 1.0, "", "")))
    with pytest.raises(PlanNeeded, match="TensorRT does not take this plan: Magic tag does not match"):
        engine_for(double).__enter__()
    assert not cache.has(key)
