"""Is there a usable NVIDIA GPU? Asked of the driver library alone.

Without a GPU, TensorRT can hand back an object whose next use ends the process: nothing may import it before this
probe has said yes.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from engines.engine import EngineUnavailable

LIBRARY = "libcuda.so.1"

_REASONS = {
    34: "libcuda is a stub, not a driver: install the NVIDIA driver",
    35: "driver mismatch: the CUDA driver is older than its library; update it or reboot",
    100: "no CUDA device",
    803: "driver mismatch: driver and library are of different versions; reboot after an update",
    999: "unknown CUDA error: may the service open /dev/nvmap or /dev/nvidia0? (group video)",
}
"""By CUresult, as in the CUDA driver API reference."""

_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR, _INTEGRATED = 75, 76, 18
"""CUdevice_attribute."""


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
        raise EngineUnavailable("no CUDA driver") from error
    _ask(cuda, "cuInit", ctypes.c_uint(0))
    count = ctypes.c_int()
    _ask(cuda, "cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        raise EngineUnavailable(_REASONS[100])
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
        raise EngineUnavailable(_REASONS.get(code, f"{function} failed with CUDA error {code}"))
