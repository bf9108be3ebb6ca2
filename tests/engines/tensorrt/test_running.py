"""The engine on real PyCUDA and the fake GPU: answers, recording, memory, threads, loss."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from engines.engine import EngineError
from engines.tensorrt.builder import Builder, Failed
from engines.tensorrt.engine import TensorRTEngine, engine_for, offer
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe
from tests import networks
from tests.engines.tensorrt.on_fake_gpu import needs_fake_gpu, ones

pytestmark = needs_fake_gpu


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
