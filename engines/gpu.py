"""Is there a usable NVIDIA GPU? Asked of the driver library alone.

Without a GPU, TensorRT can hand back an object whose next use ends the process: nothing may import it before this
probe has said yes.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from engines.cuda_codes import told
from engines.engine import EngineUnavailable

LIBRARY = "libcuda.so.1"

_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR, _INTEGRATED = 75, 76, 18
"""CUdevice_attribute."""

_NO_DEVICE, _UNKNOWN = 100, 999
"""CUresults; both are also what a driver answers that may not open its device."""

NODES = tuple(map(Path, ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm", "/dev/nvmap", "/dev/nvhost-gpu")))
"""Of the GPU, on a desktop and on a Jetson."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """The first CUDA device."""

    name: str
    compute_capability: tuple[int, int]
    driver_version: int
    """13000 is CUDA 13.0."""
    memory_bytes: int
    integrated: bool
    """True on a Jetson, where processor and GPU share the memory."""


def probe(library: str = LIBRARY) -> Gpu:
    """The first CUDA device; raises EngineUnavailable with the reason in a few words. Takes milliseconds."""
    try:
        cuda = ctypes.CDLL(library)
    except OSError as error:
        raise EngineUnavailable(_why_not_loaded(str(error))) from error
    _ask(cuda, "cuInit", ctypes.c_uint(0))
    count = ctypes.c_int()
    _ask(cuda, "cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise EngineUnavailable(_told(_NO_DEVICE, "cuDeviceGetCount"))
    device, name = ctypes.c_int(), ctypes.create_string_buffer(256)
    version, memory = ctypes.c_int(), ctypes.c_size_t()
    _ask(cuda, "cuDeviceGet", ctypes.byref(device), 0)
    _ask(cuda, "cuDeviceGetName", name, len(name), device)
    _ask(cuda, "cuDriverGetVersion", ctypes.byref(version))
    _ask(cuda, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    return Gpu(
        name=name.value.decode(errors="replace"),
        compute_capability=(
            _attribute(cuda, _COMPUTE_CAPABILITY_MAJOR, device),
            _attribute(cuda, _COMPUTE_CAPABILITY_MINOR, device),
        ),
        driver_version=version.value,
        memory_bytes=memory.value,
        integrated=bool(_attribute(cuda, _INTEGRATED, device)),
    )


def _why_not_loaded(said: str) -> str:
    if "No such file" in said:
        return "no CUDA driver: install NVIDIA's driver; without an NVIDIA GPU there is nothing to do"
    return f"the CUDA driver cannot be loaded ({' '.join(said.split())}): reinstall the NVIDIA driver"


def _attribute(cuda: ctypes.CDLL, attribute: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int()
    _ask(cuda, "cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
    return value.value


def _ask(cuda: ctypes.CDLL, function: str, *arguments: object) -> None:
    try:
        code = int(getattr(cuda, function)(*arguments))
    except AttributeError as error:
        raise EngineUnavailable(f"the CUDA driver has no {function}: reinstall the NVIDIA driver") from error
    if code != 0:
        raise EngineUnavailable(_told(code, function))


def _told(code: int, function: str) -> str:
    closed = [str(node) for node in NODES if node.exists() and not os.access(node, os.R_OK | os.W_OK)]
    if code in (_NO_DEVICE, _UNKNOWN) and closed:
        return f"no permission to open {' and '.join(closed)}: add the service's user to the groups video and render"
    return told(code, function)
