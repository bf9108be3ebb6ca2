"""The driver is missing, broken, closed to us, or answers a CUDA error at any of its functions."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from engines import gpu
from engines.cuda_codes import MEANINGS
from scripts.refusals.case import Case, Stage
from scripts.refusals.ground import driver_folder

_EVERY_CODE = {
    "cuInit": "init",
    "cuDeviceGetCount": "device",
    "cuDevicePrimaryCtxRetain": "context",
    "cuMemAlloc_v2": "memory",
    "cuModuleLoadDataEx": "kernel",
}
_SOME_CODES = {
    "device": ("cuDeviceGet", "cuDeviceGetName", "cuDriverGetVersion", "cuDeviceTotalMem_v2", "cuDeviceGetAttribute"),
    "context": ("cuCtxPushCurrent_v2",),
    "memory": ("cuMemHostAlloc",),
    "stream": ("cuStreamCreate", "cuStreamSynchronize"),
    "copy": ("copy",),
    "network": ("cuLaunchHostFunc",),
    "recording": (*("cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags", "cuGraphLaunch"),),
    "kernel": ("cuModuleGetFunction", "cuLaunchKernel"),
}
"""Moment: functions; the stand-in for TensorRT starts its network by cuLaunchHostFunc."""
_SOME = (1, 2, 46, 209, 700, 719, 801, 900, 999)
_PROBED = ("init", "device")
_NOBODY = 65534


def cases() -> Iterator[Case]:
    yield from _library()
    yield from _rights()
    for function, moment in _EVERY_CODE.items():
        for code in MEANINGS:
            yield _answers(moment, function, code)
    for moment, functions in _SOME_CODES.items():
        for function in functions:
            for code in _SOME:
                yield _answers(moment, function, code)


def _answers(moment: str, function: str, code: int) -> Case:
    return Case(
        f"CUDA error: {moment}",
        function,
        {"FAKECUDA_FAIL": f"{function}={code}"},
        needs_pycuda=moment not in _PROBED,
        pictures=moment == "kernel",
        code=code,
    )


def _library() -> Iterator[Case]:
    def is_text(stage: Stage) -> None:
        (stage.folder / "libraries" / "libcuda.so.1").write_text("not a library\n")

    def is_cut_off(stage: Stage) -> None:
        whole = (driver_folder() / "libcuda.so.1").read_bytes()
        (stage.folder / "libraries" / "libcuda.so.1").write_bytes(whole[: len(whole) // 3])

    def is_for_another_processor(stage: Stage) -> None:
        content = bytearray((driver_folder() / "libcuda.so.1").read_bytes())
        content[18] ^= 0x80  # e_machine
        (stage.folder / "libraries" / "libcuda.so.1").write_bytes(content)

    def is_another_library(stage: Stage) -> None:
        shutil.copy(os.environ["FAKECUDA_KERNELS"], stage.folder / "libraries" / "libcuda.so.1")

    group = "driver library"
    yield Case(group, "missing", fresh=True, needs_pycuda=False)
    yield Case(group, "a text file", prepare=is_text, fresh=True, needs_pycuda=False)
    yield Case(group, "cut off", prepare=is_cut_off, fresh=True, needs_pycuda=False, kills=True)
    yield Case(group, "of another processor", prepare=is_for_another_processor, fresh=True, needs_pycuda=False)
    yield Case(group, "without the driver's functions", prepare=is_another_library, fresh=True, needs_pycuda=False)
    yield Case(group, "an answer that CUDA does not document", {"FAKECUDA_FAIL": "cuInit=4711"}, needs_pycuda=False)


def _rights() -> Iterator[Case]:
    def is_closed(stage: Stage) -> None:
        node = stage.folder / "nvidia0"
        node.touch(mode=0o600)
        _as_an_ordinary_user(stage)
        if os.access(node, os.R_OK):
            node.chmod(0)
        os.environ["HOME"] = str(stage.folder)
        os.environ["FAKECUDA_NODE"] = str(node)
        gpu.NODES = (node,)  # where this machine would have /dev/nvidia0

    yield Case("device", "no permission to open its node", prepare=is_closed, needs_pycuda=False)


def _as_an_ordinary_user(stage: Stage) -> None:
    """Root may open anything."""
    if os.geteuid() == 0:
        for path in (stage.folder, *stage.folder.rglob("*")):
            if path.name != "nvidia0":
                os.chown(path, _NOBODY, _NOBODY)
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
