"""Every reason why a GPU cannot be used: one sentence with the next step, ONNX Runtime answers, nothing crashes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import networks

pytestmark = pytest.mark.system

DRIVER = """
#include <stdlib.h>
#include <string.h>
static int answer(const char *what) { const char *s = getenv(what); return s ? atoi(s) : 0; }
int cuInit(unsigned flags) { return answer("CUINIT"); }
int cuDeviceGetCount(int *n) { const char *s = getenv("COUNT"); *n = s ? atoi(s) : 1; return answer("COUNTING"); }
int cuDeviceGet(int *device, int number) { *device = 0; return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, "Orin", size); return 0; }
int cuDriverGetVersion(int *version) { *version = 12060; return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = 8ull << 30; return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device)
    { *value = attribute == 75 ? 8 : attribute == 76 ? 7 : attribute == 18; return 0; }
"""

PROGRAM = """
import sys
from contextlib import ExitStack
from pathlib import Path
import numpy as np
from engines.choose import open_first
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe
network, plans = map(Path, sys.argv[1:])
with ExitStack() as stack:
    choice = open_first(stack, Recipe(network, GpuOptions(plans=plans)))
    answer = choice.engine.run({"x": np.ones((1, 4), np.float32)})["y"]
    assert (answer == 2).all()
    print(choice.engine.name)
    print(*choice.refusals, sep="|")
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CUDA driver that answers what the environment says."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "cuda.c").write_text(DRIVER)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "libcuda.so.1", folder / "cuda.c"], check=True)
    return folder


def refusal(tmp_path: Path, driver: Path, shims: dict[str, str], **environment: str) -> str:
    """Why TensorRT is not used with this driver, and with these texts in place of modules."""
    folder = tmp_path / "shims"
    for name, text in shims.items():
        path = folder / f"{name.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    root = str(Path(__file__).parents[3])
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(networks.double(tmp_path / "double.onnx")), str(tmp_path / "plans")],
        capture_output=True,
        text=True,
        env=os.environ
        | {"LD_LIBRARY_PATH": str(driver), "PYTHONPATH": os.pathsep.join([str(folder), root])}
        | environment,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    engine, refused = ended.stdout.splitlines()
    assert engine == "onnxruntime"
    assert refused.startswith("tensorrt: ")
    return refused.removeprefix("tensorrt: ")


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"CUINIT": "34"}, "libcuda is a stub, not a driver: install the NVIDIA driver"),
        ({"CUINIT": "35"}, "driver mismatch: the CUDA driver is older than its library; update it or reboot"),
        ({"CUINIT": "100"}, "no CUDA device: see that the GPU is seated"),
        ({"CUINIT": "803"}, "driver mismatch: driver and library are of different versions; reboot after an update"),
        ({"CUINIT": "999"}, "unknown CUDA error: may the service open /dev/nvmap or /dev/nvidia0? (group video)"),
        ({"CUINIT": "3"}, "cuInit failed with CUDA error 3"),
        ({"CUINIT": "802"}, "cuInit failed with CUDA error 802"),
        ({"COUNTING": "101"}, "cuDeviceGetCount failed with CUDA error 101"),
        ({"COUNT": "0"}, "no CUDA device: see that the GPU is seated"),
    ],
)
def test_what_the_driver_answers(tmp_path: Path, driver: Path, environment: dict[str, str], words: str) -> None:
    assert refusal(tmp_path, driver, {}, **environment).startswith(words)


NEW_ENOUGH = '__version__ = "10.3.0"'
ABSENT = "raise ModuleNotFoundError(f'No module named {__name__!r}', name=__name__)"
NO_RTX = {"tensorrt_rtx": ABSENT, "tensorrt_rtx_bindings": ABSENT}


@pytest.mark.parametrize(
    ("tensorrt", "words"),
    [
        (ABSENT, "the Python package tensorrt is missing: on a Jetson apt-get install python3-libnvinfer"),
        (
            "raise ImportError('libnvinfer.so.10: cannot open shared object file')",
            "tensorrt cannot be loaded: libnvinfer.so.10: cannot open shared object file: reinstall TensorRT",
        ),
        ("raise OSError('wrong ELF class: ELFCLASS32')", "tensorrt cannot be loaded: wrong ELF class: ELFCLASS32"),
        ("raise RuntimeError('no such CUDA version')", "tensorrt cannot be loaded: no such CUDA version: reinstall"),
        ("import tensorrt_libs", "tensorrt lacks tensorrt_libs: reinstall TensorRT for this system"),
        ('__version__ = "8.6.2"', "TensorRT 8.6.2 is too old: 10.3 is the oldest that works (JetPack 6.1)"),
    ],
)
def test_a_tensorrt_that_is_missing_or_broken(tmp_path: Path, driver: Path, tensorrt: str, words: str) -> None:
    assert refusal(tmp_path, driver, {"tensorrt": tensorrt} | NO_RTX).startswith(words)


@pytest.mark.parametrize(
    ("pycuda", "words"),
    [
        (
            "raise ModuleNotFoundError(\"No module named 'pycuda'\", name='pycuda')",
            "the Python package pycuda is missing: run `appliance doctor`, which says how to build it here",
        ),
        (
            "raise ImportError('libcurand.so.10: cannot open shared object file')",
            "pycuda cannot be loaded, build it again for this CUDA: libcurand.so.10: cannot open shared object file",
        ),
    ],
)
def test_a_pycuda_that_is_missing_or_broken(tmp_path: Path, driver: Path, pycuda: str, words: str) -> None:
    assert refusal(tmp_path, driver, {"tensorrt": NEW_ENOUGH, "pycuda": pycuda}).startswith(words)


def test_all_is_there_but_the_plan(tmp_path: Path, driver: Path) -> None:
    shims = {"tensorrt": NEW_ENOUGH, "pycuda.__init__": "", "pycuda.driver": ""}
    assert refusal(tmp_path, driver, shims) == (
        "no plan has been built for this network on this machine yet: `appliance models build` does it; the appliance "
        "does so by itself"
    )
