"""TensorRT at work on the GPU: builds, admission, the whole model beside the bare network, recording, tails, soak."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from engines.bundle import Bundle
from engines.engine import Array, EngineError, EngineUnavailable
from engines.model import Model
from engines.recognise import examine
from engines.tensorrt.builder import Builder, Built
from engines.tensorrt.cuda import Cuda
from engines.tensorrt.engine import TensorRTEngine, engine_for, offer
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe, recipe_of
from scripts.benchmarks import detector
from scripts.gpu_checks.table import Absent, Missed, Table
from scripts.gpu_checks.timing import Spread, in_turn, wall

PICTURE = (720, 1280, 3)
SHIPPED = Path(__file__).parent.parent.parent / "appliance" / "bundles"
BUILD_S = 1500.0
STREAMS = 16


@dataclass(frozen=True, slots=True)
class Extent:
    """How long to look."""

    soak: int
    seconds: float
    """Of the tail."""
    times: int
    """Of everything that is timed."""


def run(table: Table, folder: Path, extent: Extent) -> None:
    usable = False

    def find() -> str:
        nonlocal usable
        try:
            found = offer()
        except EngineUnavailable as error:
            raise Absent(str(error)) from error
        usable = True
        table.facts["TensorRT"] = found.target.tensorrt
        return found.target.tensorrt

    table.check("TensorRT can be used", find)
    if not usable:
        return
    options = GpuOptions(plans=folder)
    subjects = {"shapes": Bundle.open(SHIPPED / "shapes" / "1")}
    subjects["detector 640"] = _detector(folder)
    for name, bundle in subjects.items():
        if table.check(f"{name}: plan built and admitted", lambda bundle=bundle: _build(bundle, options), "G9"):  # type: ignore[misc]
            _of_one(table, name, bundle, options, extent)
    words = f"detector 640: {STREAMS} cameras in one run"
    table.check(words, lambda: _streams(subjects["detector 640"], options, extent.times), "G6")


def _of_one(table: Table, name: str, bundle: Bundle, options: GpuOptions, extent: Extent) -> None:
    checks: list[tuple[str, str, Callable[[], str]]] = [
        ("from the cache to the first answer", "G10", lambda: _open(bundle, options)),
        ("whole model beside the bare network", "G1", lambda: _whole(bundle, options, extent.times)),
        ("bytes to the GPU and back", "G3", lambda: _bytes(bundle, options)),
        ("recorded beside piece by piece", "G4", lambda: _recorded(bundle, options, extent.times)),
        ("recorded answers are the plain ones", "G4", lambda: _same_answers(bundle, options)),
        (f"tail over {extent.seconds:.0f} s at 30 a second", "G7", lambda: _tail(bundle, options, extent.seconds)),
        ("four busy threads beside it", "G8", lambda: _beside_threads(bundle, options, extent.times)),
        ("two models on two threads", "", lambda: _two_threads(bundle, options, extent.times)),
        ("decoding beside the network", "G5", lambda: _decoding(bundle, options)),
        ("memory after a second one took over", "G11", lambda: _swap(bundle, options)),
        (f"memory after {extent.soak} runs", "", lambda: _soak(bundle, options, extent.soak)),
    ]
    for words, goal, body in checks:
        table.check(f"{name}: {words}", body, goal)


def _detector(folder: Path) -> Bundle:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "detector640.onnx"
    if not path.exists():
        tensors = [np.random.default_rng(seed).random((1, 3, 640, 640), np.float32) for seed in range(2)]
        detector.write(path, 640, tensors, 100)
    found = examine(path)
    return Bundle(found.manifest, path.parent, found.files)


def _for_any_number(bundle: Bundle, path: Path) -> Bundle:
    """The same network, which was written for one picture, for any number of them."""
    model = onnx.load(str(bundle.stage_path(bundle.manifest.stages[0].name)))
    graph = model.graph
    for tensor in (*graph.input, *graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "n"
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for weight in graph.initializer:
        if weight.name in shapes:
            shape = onnx.numpy_helper.to_array(weight).copy()
            shape[0] = 0  # as it comes in
            weight.CopyFrom(onnx.numpy_helper.from_array(shape, weight.name))
    onnx.save(model, str(path))
    found = examine(path)
    return Bundle(found.manifest, path.parent, found.files)


def _recipe(bundle: Bundle, options: GpuOptions) -> Recipe:
    return recipe_of(bundle, bundle.manifest.stages[0].name, options)


def _build(bundle: Bundle, options: GpuOptions) -> str:
    with Builder(_recipe(bundle, options), offer().target) as builder:
        state = builder.wait(BUILD_S)
    if not isinstance(state, Built):
        raise Missed(str(state))
    made = state.description
    return f"{made.precision} in {made.build_s:.1f} s, {made.drift}"


def _picture(seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, PICTURE, np.uint8)


def _opened(stack: ExitStack, bundle: Bundle, options: GpuOptions) -> tuple[Model, TensorRTEngine]:
    """A model on TensorRT, and its engine to look into."""
    engine = engine_for(_recipe(bundle, options))
    model = stack.enter_context(Model(bundle, open_engine=lambda _: engine))
    model.warm_up()
    return model, engine


def _open(bundle: Bundle, options: GpuOptions) -> str:
    begun_s = time.perf_counter()
    with Model(bundle, engine="tensorrt", gpu=options) as model:
        model.warm_up()
        took_s = time.perf_counter() - begun_s
    if took_s > 2:
        raise Missed(f"{took_s:.2f} s, 2 s is the goal")
    return f"{took_s:.2f} s"


def _whole(bundle: Bundle, options: GpuOptions, times: int) -> str:
    with ExitStack() as stack:
        model, engine = _opened(stack, bundle, options)
        picture = _picture()
        took = in_turn({"whole": lambda: model.predict([picture]), "bare": lambda: engine.run_bare(1)}, times)
        whole, bare = took["whole"], took["bare"]
    words = f"whole {whole}; bare {bare}; {whole.p50 / bare.p50:.2f} x"
    allowed = 1.15 if bare.p50 >= 1 else 1.35
    if whole.p50 > allowed * bare.p50:
        raise Missed(f"{words}, {allowed} x is the goal")
    return words


def _bytes(bundle: Bundle, options: GpuOptions) -> str:
    with ExitStack() as stack:
        model, engine = _opened(stack, bundle, options)
        model.predict([_picture()])
        up, down = engine.traffic
    frame = int(np.prod(PICTURE))
    words = f"{up} up ({up / frame:.3f} x the frame), {down} down"
    if up > 1.05 * frame:
        raise Missed(f"{words}; 1.05 x is the goal: is the kernel compiled?")
    return words


def _recorded(bundle: Bundle, options: GpuOptions, times: int) -> str:
    with ExitStack() as stack:
        took: dict[str, Callable[[], object]] = {}
        picture = _picture()
        for name, graph in (("graph", True), ("plain", False)):
            model, engine = _opened(stack, bundle, replace(options, graph=graph))
            if graph and not engine.recorded:
                raise Missed("the work of a frame could not be recorded")
            took[name] = lambda model=model: model.predict([picture])  # type: ignore[misc]
        spread = in_turn(took, times)
    gain = spread["graph"].p50 / spread["plain"].p50
    words = f"graph {spread['graph']}; plain {spread['plain']}; {gain:.2f} x"
    if gain > 1:
        raise Missed(f"{words}: the graph is slower")
    return words


def _same_answers(bundle: Bundle, options: GpuOptions) -> str:
    with ExitStack() as stack:
        answers = []
        for graph in (True, False):
            model, _ = _opened(stack, bundle, replace(options, graph=graph))
            told = [model.predict([_picture(seed)])[0] for seed in range(5)]
            answers.append([each if isinstance(each, EngineError) else each.predictions for each in told])
    if answers[0] != answers[1]:
        raise Missed("they differ")
    return "they are the same"


def _tail(bundle: Bundle, options: GpuOptions, seconds: float) -> str:
    """At a camera's pace, so that clocks may sink between two frames."""
    took: list[float] = []
    with ExitStack() as stack:
        model, _ = _opened(stack, bundle, options)
        picture = _picture()
        next_s = time.perf_counter()
        end_s = next_s + seconds
        while next_s < end_s:
            while time.perf_counter() < next_s:
                time.sleep(max(0.0, min(0.005, next_s - time.perf_counter())))
            begun_s = time.perf_counter()
            model.predict([picture])
            took.append((time.perf_counter() - begun_s) * 1000)
            next_s += 1 / 30
    spread = Spread(float(np.percentile(took, 50)), float(np.percentile(took, 99)))
    words = f"{spread}, {spread.tail:.3f} x"
    if spread.tail > 1.10:
        raise Missed(f"{words}, 1.10 x is the goal")
    return words


def _beside_threads(bundle: Bundle, options: GpuOptions, times: int) -> str:
    """Four threads that copy pictures, as cameras do."""
    stopping = threading.Event()

    def copy() -> None:
        source, into = _picture(), np.empty(PICTURE, np.uint8)
        while not stopping.wait(1 / 60):
            np.copyto(into, source)

    with ExitStack() as stack:
        model, _ = _opened(stack, bundle, options)
        picture = _picture()
        alone = wall(lambda: model.predict([picture]), times)
        threads = [threading.Thread(target=copy, name=f"copy {number}") for number in range(4)]
        for thread in threads:
            thread.start()
        try:
            beside = wall(lambda: model.predict([picture]), times)
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
    change = beside.p50 / alone.p50 - 1
    words = f"alone {alone}; beside {beside}; {change:+.1%}"
    if change > 0.05:
        raise Missed(f"{words}, 5 % is the goal")
    return words


def _decoding(bundle: Bundle, options: GpuOptions) -> str:
    """On the processor: what comes back is decoded there."""
    with ExitStack() as stack:
        model, engine = _opened(stack, bundle, options)
        answers = [model.predict([_picture(seed % 5)])[0] for seed in range(20)]
        times = [each.times for each in answers if not isinstance(each, EngineError)]
        down = engine.traffic[1]
    decode, infer = (float(np.median([getattr(each, name) for each in times])) for name in ("decode_ms", "infer_ms"))
    words = f"{decode:.3f} ms of {infer:.3f} ms ({decode / infer:.0%}), {down / 1000:.0f} kB back"
    if decode > 0.05 * infer or down > 16_000:
        raise Missed(f"{words}; 5 % and 16 kB are the goal")
    return words


def _streams(bundle: Bundle, options: GpuOptions, times: int) -> str:
    """A picture of each camera, answered together; the plan is built for so many."""
    if times < 2:
        raise Absent("needs --times 2 or more")
    wide = replace(options, most_rows=STREAMS)
    bundle = _for_any_number(bundle, options.folder / "detector640-any.onnx")
    _build(bundle, wide)
    with ExitStack() as stack:
        model, engine = _opened(stack, bundle, wide)
        pictures = [_picture(seed % 5) for seed in range(STREAMS)]
        took = in_turn({"whole": lambda: model.predict(pictures), "bare": lambda: engine.run_bare(STREAMS)}, times)
    share = took["bare"].p50 / took["whole"].p50
    words = f"whole {took['whole']}; bare {took['bare']}; {share:.2f} of the bare network's throughput"
    if share < 0.95:
        raise Missed(f"{words}; 0.95 is the goal")
    return words


def _swap(bundle: Bundle, options: GpuOptions) -> str:
    """As at a hand-over: another thread opens the model, then the first one closes it."""
    opened, closing = threading.Event(), threading.Event()

    def successor() -> None:
        with ExitStack() as stack:
            _opened(stack, bundle, options)
            opened.set()
            closing.wait(60)

    thread = threading.Thread(target=successor, name="successor")
    with Cuda() as cuda:
        with ExitStack() as first:
            _opened(first, bundle, options)
            one = cuda.free_bytes()
            thread.start()
            if not opened.wait(60):
                raise Missed("the second one was not opened within a minute")
            two = cuda.free_bytes()
        after = cuda.free_bytes()
        closing.set()
        thread.join(60)
    used = one - two
    words = f"one takes {used / 1e6:.0f} MB; after the swap {(one - after) / 1e6:+.1f} MB"
    if abs(one - after) > max(4e6, 0.05 * used):
        raise Missed(words)
    return words


def _two_threads(bundle: Bundle, options: GpuOptions, times: int) -> str:
    said: list[str] = []

    def body() -> None:
        try:
            with Model(bundle, engine="tensorrt", gpu=options) as model:
                for seed in range(times):
                    answer = model.predict([_picture(seed % 3)])[0]
                    if isinstance(answer, EngineError):
                        raise answer
            said.append("ok")
        except EngineError as error:
            said.append(str(error))

    threads = [threading.Thread(target=body, name=f"model {number}") for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    if said != ["ok", "ok"]:
        raise Missed("; ".join(said))
    return f"{times} answers each"


def _soak(bundle: Bundle, options: GpuOptions, times: int) -> str:
    with ExitStack() as stack:
        model, _ = _opened(stack, bundle, options)
        picture = _picture()
        model.predict([picture])
        with Cuda() as cuda:
            before, resident = cuda.free_bytes(), _resident_mb()
            for _ in range(times):
                model.predict([picture])
            lost, grown = (before - cuda.free_bytes()) / 1e6, _resident_mb() - resident
    words = f"GPU {lost:+.1f} MB, process {grown:+.1f} MB"
    if lost > 4 or grown > 1 + times / 100_000:
        raise Missed(words)
    return words


def _resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000
