"""Deep-learning accelerators: used where they are and asked for, else the GPU; what became of it is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from engines.tensorrt.builder import Builder, Built
from engines.tensorrt.engine import engine_for, offer
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe
from tests import networks
from tests.engines.tensorrt.on_fake_gpu import needs_fake_gpu, ones

pytestmark = needs_fake_gpu


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """y = 2 (x + x), for accelerator 1."""
    nodes = [
        helper.make_node("Add", ["x", "x"], ["sum"], name="sum"),
        helper.make_node("Mul", ["sum", "two"], ["y"], name="twice"),
    ]
    x, y = networks.tensor("x", ["n", 4]), networks.tensor("y", ["n", 4])
    path = networks.write(tmp_path / "network.onnx", nodes, [x], [y], weights={"two": np.float32(2)})
    return Recipe(path, GpuOptions(plans=tmp_path / "plans", precision="fp32", dla_core=1))


def told_of(recipe: Recipe) -> str:
    """What is kept with its plan, once it has answered one picture and many."""
    with Builder(recipe, offer().target) as builder:
        state = builder.wait(30)
    assert isinstance(state, Built), state
    with engine_for(recipe) as engine:
        for rows in (1, 3):
            np.testing.assert_array_equal(engine.run({"x": ones(rows)})["y"], ones(rows, 4))
    return state.description.drift


@pytest.mark.parametrize(
    ("accelerators", "words"),
    [
        ("2 Add Mul", "2 of 2 layers on DLA core 1"),
        ("2 Add", "1 of 2 layers on DLA core 1, on the GPU twice"),
        ("2 Conv", "dla_core = 1: no layer of this network can run there; it is on the GPU"),
        ("1 Add Mul", "dla_core = 1: this device has 1 such cores for this TensorRT; it is on the GPU"),
        ("0", "dla_core = 1: this device has no such cores for this TensorRT; it is on the GPU"),
    ],
)
def test_what_runs_where_is_told_and_the_answer_is_right(
    recipe: Recipe, accelerators: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_DLA", accelerators)
    assert told_of(recipe).split("; ", 1) == ["numbers within 0.00%", words]
