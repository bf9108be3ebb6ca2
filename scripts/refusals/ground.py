"""What all cases stand on: two small networks, a CUDA driver on host memory, and, where PyCUDA is here, good plans."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from scripts.refusals.case import Stage, stage_in

REPOSITORY = Path(__file__).parents[2]
FAKE_GPU = REPOSITORY / "tests" / "engines" / "tensorrt" / "fake_gpu"
_ENGINES = REPOSITORY / "engines" / "tensorrt"
_INCLUDE = Path(os.environ.get("CUDA_ROOT", "/usr/local/cuda")) / "include"
_MARK = "REFUSALS_DRIVER"


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the good things lie; a case gets copies."""

    folder: Path
    pycuda: bool
    keys: tuple[str, str, str]
    """Of the plans of `double`, `other` and `picture`; empty without PyCUDA."""

    def stage(self, folder: Path, *, pictures: bool) -> Stage:
        """A copy of all of it, to be damaged."""
        shutil.copytree(self.folder / "plans", folder / "plans")
        double, other, picture = self.keys
        name, key = ("picture", picture) if pictures else ("double", double)
        return stage_in(folder, self.folder / f"{name}.onnx", key, other, pictures=pictures)


def under_the_fake_driver(folder: Path) -> None:
    """Start this program again with the fake driver in place of any other, if it is not there yet.

    The driver, and the folder for it, outlive this process: whoever calls clears them away.
    """
    if os.environ.get(_MARK):
        return
    driver = folder / "driver"
    driver.mkdir()
    if (_INCLUDE / "cuda.h").exists():
        subprocess.run([FAKE_GPU / "make_libcuda", "--fake", driver, _INCLUDE], check=True, stdout=subprocess.DEVNULL)
    else:  # enough for what asks the driver itself; PyCUDA would miss functions
        source = FAKE_GPU / "fakecuda.c"
        subprocess.run(
            ["gcc", "-w", "-shared", "-fPIC", "-o", driver / "libcuda.so.1", source, "-ldl", "-lpthread"], check=True
        )
    kernels = folder / "kernels.so"
    subprocess.run(
        [
            "g++",
            "-O2",
            "-ffp-contract=off",
            "-shared",
            "-fPIC",
            "-I",
            _ENGINES,
            "-o",
            kernels,
            FAKE_GPU / "kernels.cpp",
        ],
        check=True,
    )
    environment = os.environ | {
        _MARK: str(driver),
        "LD_LIBRARY_PATH": str(driver),
        "FAKECUDA_KERNELS": str(kernels),
        "PYTHONPATH": os.pathsep.join([str(FAKE_GPU / "bindings"), str(REPOSITORY)]),
    }
    ended = subprocess.run([sys.executable, "-m", "scripts.refusals", *sys.argv[1:]], env=environment, cwd=REPOSITORY)
    sys.exit(ended.returncode)


def prepare(folder: Path) -> Ground:
    """In a process that has the fake driver."""
    from onnx import helper

    from engines.engine import EngineUnavailable
    from engines.tensorrt.engine import pycuda
    from engines.tensorrt.kernels import fatbin_path
    from tests import networks

    networks.double(folder / "double.onnx")
    networks.external(folder / "other.onnx")
    x, y = networks.tensor("x", [1, 3, 16, 16]), networks.tensor("y", [1, 3, 16, 16])
    networks.write(folder / "picture.onnx", [helper.make_node("Add", ["x", "x"], ["y"])], [x], [y])
    plans = folder / "plans"
    plans.mkdir()
    fatbin_path((8, 7), plans).write_bytes(b"loaded by name")
    try:
        pycuda()
    except EngineUnavailable:
        return Ground(folder, pycuda=False, keys=("", "", ""))
    first, second, third = (_built(folder, name) for name in ("double", "other", "picture"))
    return Ground(folder, pycuda=True, keys=(first, second, third))


def _built(folder: Path, name: str) -> str:
    """The key of the plan, once it is in the cache."""
    from engines.tensorrt.builder import Builder, Built
    from engines.tensorrt.engine import offer

    recipe = stage_in(folder, folder / f"{name}.onnx", "", "", pictures=False).recipe
    target = offer().target
    with Builder(recipe, target) as builder:
        state = builder.wait(60)
    if not isinstance(state, Built):
        raise SystemExit(f"{name}: the plan that is to be damaged cannot be built: {state}")
    return recipe.key(target)


def driver_folder() -> Path:
    """Where the fake driver is."""
    return Path(os.environ[_MARK])
