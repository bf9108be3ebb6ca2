"""One contract, every back end that this machine has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engines.choose import BACK_ENDS, choose
from engines.engine import Engine, EngineError, EngineUnavailable
from engines.tensorrt.builder import Builder, Failed
from engines.tensorrt.engine import offer
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe
from tests import networks
from tests.waiting import until


def _present(name: str) -> object:
    try:
        if name == "tensorrt":
            offer()
        else:
            choose(Path("any.onnx"), name)
    except EngineUnavailable as error:
        return pytest.param(name, marks=pytest.mark.skip(reason=str(error)))
    return name


def prepare(path: Path, back_end: str, plans: Path) -> GpuOptions:
    """Builds the plan of this network where the back end needs one."""
    options = GpuOptions(plans=plans, precision="fp32")
    if back_end == "tensorrt":
        with Builder(Recipe(path, options), offer().target) as builder:
            state = builder.wait(300)
            if isinstance(state, Failed):
                pytest.skip(f"TensorRT does not build it: {state.reason}")
    return options


def ready(path: Path, back_end: str, plans: Path) -> Engine:
    """The engine of this network, its plan built where it needs one."""
    return choose(path, back_end, gpu=prepare(path, back_end, plans)).engine


@pytest.fixture(scope="module", params=[_present(name) for name in BACK_ENDS])
def back_end(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def built_double(back_end: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, GpuOptions]:
    """The network y = x + x, prepared for the back end: its tests only read it."""
    folder = tmp_path_factory.mktemp("double")
    path = networks.double(folder / "double.onnx")
    return path, prepare(path, back_end, folder / "plans")


@pytest.fixture
def double(back_end: str, built_double: tuple[Path, GpuOptions]) -> Iterator[Engine]:
    path, options = built_double
    with choose(path, back_end, gpu=options).engine as engine:
        yield engine


def test_the_answer_is_right(double: Engine) -> None:
    x = np.array([[1, 2, 3, 4]], np.float32)
    np.testing.assert_array_equal(double.run({"x": x})["y"], x + x)


def test_it_says_what_goes_in_and_what_comes_out(double: Engine) -> None:
    assert [(spec.name, spec.shape, spec.dtype) for spec in double.inputs] == [("x", (None, 4), np.dtype("f4"))]
    assert [(spec.name, spec.shape, spec.dtype) for spec in double.outputs] == [("y", (None, 4), np.dtype("f4"))]


def test_a_free_axis_takes_any_size(double: Engine) -> None:
    for rows in (1, 3, 2):
        x = np.full((rows, 4), rows, np.float32)
        np.testing.assert_array_equal(double.run({"x": x})["y"], x + x)


def test_a_view_that_is_not_contiguous_is_read_right(double: Engine) -> None:
    x = np.arange(16, dtype=np.float32).reshape(2, 8)[:, ::-2]
    np.testing.assert_array_equal(double.run({"x": x})["y"], x + x)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({}, "input x is missing; given: none"),
        ({"z": np.zeros((1, 4), np.float32)}, "input x is missing; given: z"),
        ({"x": np.zeros((1, 3), np.float32)}, r"input x has shape \(1, 3\), expected \(any, 4\)"),
        ({"x": np.zeros(4, np.float32)}, r"input x has shape \(4,\), expected \(any, 4\)"),
        ({"x": np.zeros((1, 4), np.float64)}, "input x is float64, expected float32"),
        ({"x": np.zeros((1, 4), np.float32), "z": np.zeros(1, np.float32)}, "no input is called z"),
    ],
)
def test_a_wrong_input_is_named(double: Engine, inputs: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        double.run(inputs)
    x = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(double.run({"x": x})["y"], x + x)


def test_an_endless_run_is_cancelled_from_another_thread_and_the_next_one_is_its_own(
    back_end: str, tmp_path: Path
) -> None:
    if back_end == "tensorrt":
        pytest.skip("a network on the GPU cannot be stopped; the watchdog ends the process")
    x = np.ones((1, 4), np.float32)
    with choose(networks.endless(tmp_path / "endless.onnx"), back_end).engine as engine:
        for _ in range(3):
            done = threading.Event()
            faults: list[str] = []

            def body(engine: Engine = engine, done: threading.Event = done, faults: list[str] = faults) -> None:
                try:
                    engine.run({"x": x})
                except EngineError as error:
                    faults.append(str(error))
                done.set()

            threading.Thread(target=body, name="model endless", daemon=True).start()

            def gone(engine: Engine = engine, done: threading.Event = done) -> bool:
                engine.cancel()
                return done.is_set()

            until(gone, within_s=10, what="the endless run ends")
            assert faults == [f"{tmp_path / 'endless.onnx'}: cancelled before it had an answer"]


def test_cancelling_an_idle_engine_does_nothing(double: Engine) -> None:
    double.cancel()
    x = np.ones((1, 4), np.float32)
    np.testing.assert_array_equal(double.run({"x": x})["y"], x + x)


def test_an_engine_can_be_opened_again(back_end: str, tmp_path: Path) -> None:
    engine = ready(networks.double(tmp_path / "double.onnx"), back_end, tmp_path / "plans")
    x = np.ones((1, 4), np.float32)
    for _ in range(2):
        with engine:
            np.testing.assert_array_equal(engine.run({"x": x})["y"], x + x)


def test_weights_in_a_file_beside_the_network_are_found_from_any_folder(
    back_end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = networks.external(tmp_path / "external.onnx")
    monkeypatch.chdir("/")
    with ready(path, back_end, tmp_path / "plans") as engine:
        answer = engine.run({"x": np.zeros((1, 4), np.float32)})["y"]
    np.testing.assert_array_equal(answer, [[1, 2, 3, 4]])
