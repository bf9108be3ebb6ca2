"""PyCUDA, memory, streams, threads and graphs: needs no TensorRT."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import numpy as np

from engines.engine import EngineError
from engines.tensorrt.cuda import Cuda
from scripts.gpu_checks.table import Missed, Table
from scripts.gpu_checks.timing import in_turn

_SIZE = 1280 * 720 * 3


def run(table: Table, soak: int) -> None:
    with Cuda() as cuda:
        table.facts["free memory"] = f"{cuda.free_bytes() / 1e9:.1f} GB"
        table.check("a pinned copy there and back is the same", lambda: _there_and_back(cuda))
        table.check("copies: pinned beside pageable", lambda: _copies(cuda), figure=True)
        table.check("mapped host memory is seen by the GPU", lambda: _mapped(cuda))
        table.check("a recorded graph sees new contents", lambda: _graph(cuda))
        table.check("a recording that fails leaves the stream usable", lambda: _failed_recording(cuda))
        table.check("graph beside plain launches, five small copies", lambda: _graph_gain(cuda), figure=True)
        table.check("a second thread works with the same context", lambda: _second_thread(cuda))
        table.check("a thread without the context is refused", lambda: _foreign_thread(cuda))
        table.check(f"memory after {soak} allocations", lambda: _leaks(cuda, soak))


def _there_and_back(cuda: Cuda) -> str:
    there, back = cuda.pinned((_SIZE,), np.dtype(np.uint8)), cuda.pinned((_SIZE,), np.dtype(np.uint8))
    there[:] = np.random.default_rng(0).integers(0, 256, _SIZE, np.uint8)
    buffer, stream = cuda.allocate(_SIZE), cuda.stream()
    stream.upload(there, buffer.address)
    stream.download(buffer.address, back)
    stream.wait()
    if not np.array_equal(there, back):
        raise Missed("it is not")
    up = stream.timed_ms(lambda: stream.upload(there, buffer.address), 50)
    down = stream.timed_ms(lambda: stream.download(buffer.address, back), 50)
    buffer.free()
    return f"up {_SIZE / up / 1e6:.1f} GB/s, down {_SIZE / down / 1e6:.1f} GB/s"


def _copies(cuda: Cuda) -> str:
    pinned, pageable = cuda.pinned((_SIZE,), np.dtype(np.uint8)), np.zeros(_SIZE, np.uint8)
    buffer, stream = cuda.allocate(_SIZE), cuda.stream()

    def up(array: np.ndarray) -> Callable[[], None]:
        def body() -> None:
            stream.upload(array, buffer.address)
            stream.wait()

        return body

    took = in_turn({"pinned": up(pinned), "pageable": up(pageable)}, times=50)
    buffer.free()
    return f"a 720p frame: pinned {took['pinned'].p50:.3f} ms, pageable {took['pageable'].p50:.3f} ms"


def _mapped(cuda: Cuda) -> str:
    mapped = cuda.pinned((4096,), np.dtype(np.uint8), mapped=True)
    mapped[:] = 7
    back = cuda.pinned((4096,), np.dtype(np.uint8))
    buffer, stream = cuda.allocate(4096), cuda.stream()
    stream.copy(cuda.seen_by_the_gpu(mapped), buffer.address, 4096)
    stream.download(buffer.address, back)
    stream.wait()
    buffer.free()
    if not (back == 7).all():
        raise Missed("it reads something else")
    return "it reads what was written"


def _graph(cuda: Cuda) -> str:
    host, back = cuda.pinned((1024,), np.dtype(np.float32)), cuda.pinned((1024,), np.dtype(np.float32))
    buffer, stream = cuda.allocate(host.nbytes), cuda.stream()

    def body() -> None:
        stream.upload(host, buffer.address)
        stream.download(buffer.address, back)

    body()
    stream.wait()
    graph = stream.record(body)
    for value in range(3):
        host[:] = value
        graph.launch()
        stream.wait()
        if not (back == value).all():
            raise Missed(f"run {value} brought {back[0]}")
    graph.close()
    buffer.free()
    return "three runs, three contents"


def _failed_recording(cuda: Cuda) -> str:
    host, stream = cuda.pinned((16,), np.dtype(np.uint8)), cuda.stream()
    buffer = cuda.allocate(16)

    def broken() -> None:
        stream.upload(host, buffer.address)
        raise EngineError("made to fail")

    try:
        stream.record(broken)
    except EngineError as error:
        if str(error) != "made to fail":
            raise
    stream.upload(host, buffer.address)
    stream.wait()
    buffer.free()
    return "it is"


def _graph_gain(cuda: Cuda) -> str:
    host = [cuda.pinned((4096,), np.dtype(np.uint8)) for _ in range(5)]
    buffer, stream = cuda.allocate(4096), cuda.stream()

    def work() -> None:
        for each in host:
            stream.upload(each, buffer.address)

    def plain() -> None:
        work()
        stream.wait()

    graph = stream.record(work)

    def replay() -> None:
        graph.launch()
        stream.wait()

    took = in_turn({"plain": plain, "graph": replay}, times=200)
    graph.close()
    buffer.free()
    return f"plain {took['plain'].p50 * 1000:.0f} us, graph {took['graph'].p50 * 1000:.0f} us"


def _second_thread(cuda: Cuda) -> str:
    said: list[str] = []

    def body() -> None:
        try:
            with Cuda() as own:
                _there_and_back(own)
            said.append("it does, and the first goes on")
        except EngineError as error:
            said.append(f"failed: {error}")

    thread = threading.Thread(target=body, name="second")
    thread.start()
    thread.join(60)
    _there_and_back(cuda)
    if not said or said[0].startswith("failed"):
        raise Missed(said[0] if said else "it never ended")
    return said[0]


def _foreign_thread(cuda: Cuda) -> str:
    said: list[str] = []

    def body() -> None:
        try:
            cuda.allocate(16)
        except EngineError as error:
            said.append(str(error))

    thread = threading.Thread(target=body, name="foreign")
    thread.start()
    thread.join(60)
    if not said:
        raise Missed("it was not refused")
    return said[0]


def _leaks(cuda: Cuda, times: int) -> str:
    gc.collect()
    before = cuda.free_bytes()
    for number in range(times):
        buffer = cuda.allocate(1 << (10 + number % 12))
        buffer.free()
    stream = cuda.stream()
    stream.wait()
    lost = before - cuda.free_bytes()
    if lost > 4 << 20:
        raise Missed(f"{lost / 1e6:.1f} MB are gone")
    return f"{lost / 1e6:.1f} MB less than before"
