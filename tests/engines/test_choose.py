"""Choosing a back end: a fixed order, and the reason of every refusal."""

from __future__ import annotations

import ctypes.util
import shutil
import subprocess
from pathlib import Path

import pytest

from engines.choose import choose
from engines.engine import EngineUnavailable
from engines.gpu import probe
from tests import networks

NO_GPU = ctypes.util.find_library("cuda") is None


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """A stand-in for the CUDA driver: every function returns $FAKE_CUDA_RESULT, or tells of one Orin."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    source = tmp_path / "cuda.c"
    source.write_text(
        """
        #include <stdlib.h>
        #include <string.h>
        static int answer(void) { const char *s = getenv("FAKE_CUDA_RESULT"); return s ? atoi(s) : 0; }
        int cuInit(unsigned flags) { return flags ? 1 : answer(); }
        int cuDeviceGetCount(int *n) { const char *s = getenv("FAKE_CUDA_COUNT"); *n = s ? atoi(s) : 1; return 0; }
        int cuDeviceGet(int *device, int number) { *device = number + 7; return 0; }
        int cuDeviceGetName(char *name, int size, int device)
            { if (device != 7) return 101; strncpy(name, "Orin", size); return 0; }
        int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
        int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = 8ull << 30; return device == 7 ? 0 : 101; }
        int cuDeviceGetAttribute(int *value, int attribute, int device)
            { *value = attribute == 75 ? 8 : attribute == 76 ? 7 : attribute == 18; return device == 7 ? 0 : 101; }
        """
    )
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return library


def test_a_gpu_is_described(driver: Path) -> None:
    gpu = probe(str(driver))
    assert (gpu.name, gpu.compute_capability, gpu.driver_version) == ("Orin", (8, 7), 12060)
    assert (gpu.memory_bytes, gpu.integrated) == (8 << 30, True)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("35", "driver mismatch"),
        ("100", "no CUDA device"),
        ("803", "driver mismatch"),
        ("999", r"may the service open /dev/nvmap .*\(group video\)"),
        ("42", "cuInit failed with CUDA error 42"),
    ],
)
def test_a_driver_that_refuses_is_explained(
    driver: Path, code: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_CUDA_RESULT", code)
    with pytest.raises(EngineUnavailable, match=words):
        probe(str(driver))


def test_a_driver_without_a_device_is_no_gpu(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CUDA_COUNT", "0")
    with pytest.raises(EngineUnavailable, match="no CUDA device"):
        probe(str(driver))


def test_a_machine_without_a_driver_says_so(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"^no CUDA driver: install"):
        probe(str(tmp_path / "libcuda.so.1"))


def test_a_library_that_is_no_driver_is_explained(tmp_path: Path) -> None:
    libc = ctypes.util.find_library("c")
    with pytest.raises(EngineUnavailable, match="has no cuInit: reinstall the NVIDIA driver"):
        probe(str(libc))


def test_without_a_gpu_onnxruntime_runs_and_the_refusal_is_kept(tmp_path: Path) -> None:
    choice = choose(networks.double(tmp_path / "double.onnx"))
    assert choice.engine.name == "onnxruntime"
    assert [refusal.engine for refusal in choice.refusals] == ["tensorrt"]
    if NO_GPU:
        assert str(choice.refusals[0]).startswith("tensorrt: no CUDA driver: install NVIDIA's driver")


def test_the_engine_that_is_asked_for_is_the_only_one_tried(tmp_path: Path) -> None:
    path = networks.double(tmp_path / "double.onnx")
    assert choose(path, "onnxruntime").refusals == ()
    with pytest.raises(EngineUnavailable, match="no engine can run it here: tensorrt: "):
        choose(path, "tensorrt")


def test_an_unknown_engine_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no back end is called tpu: expected auto, tensorrt or onnxruntime"):
        choose(tmp_path / "double.onnx", "tpu")
