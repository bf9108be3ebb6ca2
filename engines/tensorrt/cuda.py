"""All that is used of CUDA, through PyCUDA: the only file that knows it.

One thread owns everything in here: it enters `Cuda`, allocates, runs and frees, and leaves. PyCUDA keeps its contexts
per thread; what another thread frees is leaked without a word.

Imports pycuda: only after `engines.gpu.probe` has said yes.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import pycuda.driver as driver

from engines.cuda_codes import MEANINGS, told
from engines.engine import Array, EngineError, EngineLost
from engines.gpu import LIBRARY

_LOST = frozenset({214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999})
"""CUresults after which every further call answers the same until the process ends: memory that cannot be corrected, an
illegal address or instruction, a kernel that hung or failed."""

Size: TypeAlias = tuple[int, int, int]

_THREAD_LOCAL = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may go on allocating while this one records."""


class CaptureFailed(EngineError):
    """Something on the stream cannot be recorded; it still runs piece by piece."""


class Cuda:
    """The primary context of the first GPU, which is also TensorRT's, current on the thread that enters.

    Allocations are made by its methods and end with it at the latest.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(LIBRARY)
        self._context: driver.Context | None = None
        self._buffers: list[Buffer] = []

    def __enter__(self) -> Cuda:
        with self.border("the GPU cannot be opened"):
            driver.init()
            self._context = driver.Device(0).retain_primary_context()
            self._context.push()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context, self._context = self._context, None
        buffers, self._buffers = self._buffers, []
        if context is None:
            return
        if kind is not None and issubclass(kind, EngineLost):
            # What is lost cannot be freed; but PyCUDA aborts a process that ends with a context still current.
            with contextlib.suppress(driver.Error):
                driver.Context.pop()
                context.detach()
            return
        for buffer in buffers:
            buffer.free()
        driver.Context.pop()
        context.detach()

    @contextlib.contextmanager
    def border(self, what: str) -> Iterator[None]:
        """PyCUDA's errors (its own types, none a builtin) as EngineError, or EngineLost where the context is dead."""
        try:
            yield
        except driver.Error as error:
            failure = EngineError(f"{what}: {self._told(error)}")
            self.see_whether_lost(failure)
            raise failure from error

    def see_whether_lost(self, failure: EngineError) -> None:
        """After something failed: raises EngineLost, with its words, where the context is dead."""
        code = self._call("cuCtxSynchronize") if self._context is not None else 0
        if code in _LOST:
            raise EngineLost(f"{failure}; the GPU takes no more work from this process (CUDA {code})") from failure

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any], *, mapped: bool = False) -> Array:
        """Page-locked host memory, zeroed; `mapped`: the GPU can read it in place. Freed with its last view, which the
        owning thread must drop before it leaves."""
        flags = driver.host_alloc_flags.DEVICEMAP if mapped else 0
        with self.border(f"no page-locked memory for {shape} of {dtype}"):
            array = driver.pagelocked_empty(shape, dtype, mem_flags=flags)
        array.fill(0)
        return array

    def seen_by_the_gpu(self, mapped: Array) -> int:
        """The address under which the GPU reads an array made with `pinned(…, mapped=True)`."""
        with self.border("the GPU cannot see host memory"):
            return int(mapped.base.get_device_pointer())  # type: ignore[union-attr]  # PagelockedHostAllocation

    def allocate(self, size: int) -> Buffer:
        """Memory on the GPU; `size` in bytes."""
        with self.border(f"the GPU has no room for {size / 1e6:.1f} MB"):
            buffer = Buffer(driver.mem_alloc(max(size, 1)), size)
        self._buffers.append(buffer)
        return buffer

    def free_bytes(self) -> int:
        with self.border("the GPU does not tell its memory"):
            return driver.mem_get_info()[0]

    def stream(self) -> Stream:
        with self.border("the GPU opens no stream"):
            return Stream(self, driver.Stream())

    def kernel(self, image: bytes, name: str, arguments: str) -> Kernel:
        """A function of a fatbin; `arguments` in the letters of `struct`."""
        with self.border(f"kernel {name} does not load"):
            module = driver.module_from_buffer(image)
            return Kernel(self, module, module.get_function(name).prepare(arguments), name)

    def ask(self, function: str, *arguments: object) -> None:
        """A call of the driver that PyCUDA does not know. Raises CaptureFailed."""
        if code := self._call(function, *arguments):
            raise CaptureFailed(told(code, function))

    def _told(self, error: driver.Error) -> str:
        """PyCUDA keeps no code in its errors, only the driver's text for it: which one has that text?"""
        function, _, text = str(error).partition(" failed: ")
        said = ctypes.c_char_p()
        for code in MEANINGS:
            self._library.cuGetErrorString(code, ctypes.byref(said))
            words = (said.value or b"").decode(errors="replace")
            if words and (text == words or text.startswith(f"{words} - ")):  # a log may follow
                return told(code, function)
        return " ".join(str(error).split())

    def _call(self, function: str, *arguments: object) -> int:
        return int(getattr(self._library, function)(*arguments))


class Buffer:
    """A stretch of GPU memory."""

    def __init__(self, allocation: driver.DeviceAllocation, size: int) -> None:
        self._allocation: driver.DeviceAllocation | None = allocation
        self.address = int(allocation)
        self.size = size

    def free(self) -> None:
        if self._allocation is not None:
            self._allocation.free()
            self._allocation = None


class Stream:
    """Work for the GPU, in order. Nothing has happened before `wait` returns."""

    def __init__(self, cuda: Cuda, stream: driver.Stream) -> None:
        self._cuda = cuda
        self.raw = stream
        self.handle = int(stream.handle)
        """As TensorRT takes it."""

    def upload(self, array: Array, address: int) -> None:
        """From pinned memory, which must stay as it is until `wait`."""
        with self._cuda.border("the copy to the GPU failed"):
            driver.memcpy_htod_async(address, array, self.raw)

    def download(self, address: int, array: Array) -> None:
        """Into pinned memory."""
        with self._cuda.border("the copy from the GPU failed"):
            driver.memcpy_dtoh_async(array, address, self.raw)

    def copy(self, source: int, target: int, size: int) -> None:
        """Within the GPU; `size` in bytes."""
        with self._cuda.border("the copy within the GPU failed"):
            driver.memcpy_dtod_async(target, source, size, self.raw)

    def wait(self) -> None:
        """Until all is done. Other threads of Python go on meanwhile. A fault of the GPU is told here."""
        with self._cuda.border("the GPU failed"):
            self.raw.synchronize()

    def record(self, enqueue: Callable[[], None]) -> Graph:
        """What `enqueue` puts on this stream, as one piece. Raises CaptureFailed, or what `enqueue` raised; the stream
        is usable in every case."""
        return Graph(self._cuda, self, enqueue)

    def timed_ms(self, enqueue: Callable[[], None], times: int) -> float:
        """How long the GPU takes for one of `times` repetitions."""
        with self._cuda.border("the GPU does not tell the time"):
            begun, ended = driver.Event(), driver.Event()
            begun.record(self.raw)
            for _ in range(times):
                enqueue()
            ended.record(self.raw)
            ended.synchronize()
            return float(begun.time_till(ended)) / times


class Graph:
    """Recorded work. Addresses and arguments are frozen; contents of memory are not."""

    def __init__(self, cuda: Cuda, stream: Stream, enqueue: Callable[[], None]) -> None:
        self._cuda = cuda
        self._stream = ctypes.c_void_p(stream.handle)
        self._executable = ctypes.c_void_p()
        recorded = ctypes.c_void_p()
        cuda.ask("cuStreamBeginCapture_v2", self._stream, _THREAD_LOCAL)
        try:
            enqueue()
        except BaseException:
            # A recording that is not ended would leave the stream unusable; that it fails is no news.
            with contextlib.suppress(CaptureFailed):
                cuda.ask("cuStreamEndCapture", self._stream, ctypes.byref(recorded))
            if recorded:
                cuda.ask("cuGraphDestroy", recorded)
            raise
        cuda.ask("cuStreamEndCapture", self._stream, ctypes.byref(recorded))
        try:
            flags = ctypes.c_ulonglong(0)
            cuda.ask("cuGraphInstantiateWithFlags", ctypes.byref(self._executable), recorded, flags)
        finally:
            cuda.ask("cuGraphDestroy", recorded)

    def launch(self) -> None:
        """Put all of it on its stream."""
        if code := self._cuda._call("cuGraphLaunch", self._executable, self._stream):
            with self._cuda.border("the recorded work cannot be started"):
                raise driver.Error(told(code, "cuGraphLaunch"))

    def close(self) -> None:
        if self._executable:
            # Fails only where the context is dead, and with it the graph.
            with contextlib.suppress(CaptureFailed):
                self._cuda.ask("cuGraphExecDestroy", self._executable)
            self._executable = ctypes.c_void_p()


class Kernel:
    """A function that runs on the GPU."""

    def __init__(self, cuda: Cuda, module: driver.Module, function: driver.Function, name: str) -> None:
        self._cuda, self._module, self._function, self._name = cuda, module, function, name

    def enqueue(
        self, stream: Stream, grid: tuple[int, int, int], block: tuple[int, int, int], *arguments: float
    ) -> None:
        with self._cuda.border(f"kernel {self._name} cannot be started"):
            self._function.prepared_async_call(grid, block, stream.raw, *arguments)
