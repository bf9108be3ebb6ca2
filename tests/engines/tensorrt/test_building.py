"""Plans built, tried and refused in a process of their own, on the fake GPU."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from engines.tensorrt.builder import Builder, Building, Built, Failed
from engines.tensorrt.engine import engine_for, offer
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.plan_cache import PlanCache
from engines.tensorrt.recipe import Recipe
from tests import networks
from tests.engines.tensorrt.on_fake_gpu import built, needs_fake_gpu, ones
from tests.waiting import until

pytestmark = needs_fake_gpu


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


def quantized(path: Path, scale: float) -> Path:
    """y = x + x, with x in steps of `scale`, as a symmetric Q/DQ pair makes it."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("Add", ["d", "d"], ["y"]),
    ]
    x, y = networks.tensor("x", ["n", 4]), networks.tensor("y", ["n", 4])
    return networks.write(path, nodes, [x], [y], weights={"scale": np.float32(scale), "zero": np.int8(0)})


def test_the_quantized_variant_that_a_bundle_brings_goes_first(tmp_path: Path, options: GpuOptions) -> None:
    network = networks.double(tmp_path / "double.onnx")
    recipe = Recipe(network, options, int8=quantized(tmp_path / "double.int8.onnx", 0.02))
    with Builder(recipe, offer().target) as builder:
        state = builder.wait(30)
    assert isinstance(state, Built)
    assert state.description.precision == "int8"
    assert state.description.drift.startswith("numbers within ")


def test_a_quantized_variant_that_sees_nothing_gives_way_to_half_precision_and_is_named(
    tmp_path: Path, options: GpuOptions
) -> None:
    network = networks.double(tmp_path / "double.onnx")
    recipe = Recipe(network, options, int8=quantized(tmp_path / "double.int8.onnx", 50.0))
    with Builder(recipe, offer().target) as builder:
        state = builder.wait(30)
    assert isinstance(state, Built)
    assert state.description.precision == "fp16"
    assert "int8: built and refused: its numbers are off by 100.0%, 25% is allowed" in state.description.drift


def test_int8_without_a_variant_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    recipe = Recipe(networks.double(tmp_path / "double.onnx"), GpuOptions(plans=tmp_path / "plans", precision="int8"))
    with Builder(recipe, offer().target) as builder:
        state = builder.wait(30)
    assert isinstance(state, Failed)
    assert 'precision = "int8": the bundle of' in state.reason
    assert "holds no variant of it in int8 for tensorrt" in state.reason


@pytest.mark.faults
def test_a_builder_killed_at_any_moment_leaves_no_plan_or_a_whole_one(
    tmp_path: Path, options: GpuOptions, long_run: bool
) -> None:
    recipe = Recipe(networks.double(tmp_path / "double.onnx"), options)
    cache, key = PlanCache(options.folder), recipe.key(offer().target)
    turns = 100 if long_run else 10
    built(recipe)  # so that the key of the seal and the kernel are there
    whole = 0
    for turn in range(turns):
        cache.discard(key)
        builder = Builder(recipe, offer().target)
        threading.Event().wait(1.5 * turn / turns)
        os.kill(builder.pid, signal.SIGKILL)
        state = builder.wait(10)
        assert isinstance(state, Built | Failed)
        builder.cancel()
        if cache.has(key):
            whole += 1
            assert cache.load(key).description.precision == "fp16"
        else:
            assert isinstance(state, Failed)
    assert whole < turns, "some must have been killed before they had a plan"
    cache.discard(key)
    with engine_for(built(recipe)) as engine:
        np.testing.assert_array_equal(engine.run({"x": ones(1)})["y"], ones(1, 2))
