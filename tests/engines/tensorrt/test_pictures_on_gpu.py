"""Pictures prepared by the kernel on the fake GPU, or by the processor, are the same to the network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from engines.engine import EngineError, EngineUnavailable
from engines.model import Model
from engines.tensorrt.engine import PlanNeeded
from engines.tensorrt.options import GpuOptions
from tests import networks
from tests.engines import models
from tests.engines.tensorrt.on_fake_gpu import built, needs_fake_gpu

pytestmark = needs_fake_gpu


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
