"""C11: the options that the appliance chooses for ONNX Runtime, against the others that there are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines.onnxrt import OnnxEngine
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.goals import Figure, missing
from scripts.benchmarks.plain import letterbox
from scripts.benchmarks.timing import Timed, Turn, take_turns, turn

GOALS = ("C11",)
NEVER_WORSE_THAN = 1.05
FPS = 10.0


def measure(bench: Bench) -> list[Figure]:
    figures: list[Figure] = []
    for size in (bench.extent.large, bench.extent.small):
        bench.say(f"  options of the engine at {size}")
        figures += _back_to_back(bench, size)
    figures.append(_paced(bench, bench.extent.small))
    why = "it is measured and refused where it is made, by `appliance models quantize`"
    return [*figures, missing("C11", "an INT8 file slower than fp32 is refused", why)]


def _back_to_back(bench: Bench, size: int) -> list[Figure]:
    """Wall time at full speed; all with the number of threads that the appliance chooses."""
    with OnnxEngine(_network(bench, size), bench.threads) as engine:
        step, tensors = _steps(bench, size)
        steps = {
            "chosen": lambda: engine.run(tensors),
            "as it comes": step(bench.threads),
            "no arena": step(bench.threads, arena=False),
            "no memory pattern": step(bench.threads, pattern=False),
            "fewer optimisations": step(bench.threads, basic=True),
        }
        timed = _turns(steps, bench.extent.rounds, bench.extent.pictures // 2)
    best = min(timed, key=lambda name: timed[name].wall_ms)
    details = {name.replace(" ", "_") + "_ms": each.wall_ms for name, each in timed.items()}
    what = f"wall time over the best of the set ({best}), {bench.threads} thread(s), at {size}"
    ratio = timed["chosen"].wall_ratio(timed[best])
    return [Figure("C11", what, ratio, "x", most=NEVER_WORSE_THAN, details=details)]


def _paced(bench: Bench, size: int) -> Figure:
    """CPU time at a camera's pace, where threads that wait by spinning show."""
    cores = len(os.sched_getaffinity(0))
    with OnnxEngine(_network(bench, size), bench.threads) as engine:
        step, tensors = _steps(bench, size)
        steps = {
            "chosen": lambda: engine.run(tensors),
            "1 thread": step(1),
            "every core": step(cores),
            "every core, not spinning": step(cores, spin=False),
        }
        paced = {name: _at_pace(each) for name, each in steps.items()}
        timed = take_turns(paced, rounds=min(3, bench.extent.rounds), count=bench.extent.pictures)
    best = min(timed, key=lambda name: timed[name].cpu_ms)
    details = {name.replace(" ", "_").replace(",", "") + "_cpu_ms": each.cpu_ms for name, each in timed.items()}
    what = f"CPU time at 10/s over the best of the set ({best}), at {size}"
    return Figure("C11", what, timed["chosen"].ratio(timed[best]), "x", most=NEVER_WORSE_THAN, details=details)


def _network(bench: Bench, size: int) -> Path:
    return bench.material.detector(size).stage_path("network")


def _steps(bench: Bench, size: int) -> tuple[Callable[..., Callable[[], object]], dict[str, Any]]:
    """A maker of steps with given options, and the tensors that all of them get."""
    import onnxruntime  # type: ignore[import-untyped]  # it ships no types

    network = str(_network(bench, size))
    tensors = {"images": letterbox(bench.material.pictures()[0], size)[0]}

    def step(
        threads: int, *, spin: bool = True, arena: bool = True, pattern: bool = True, basic: bool = False
    ) -> Callable[[], object]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_cpu_mem_arena = arena
        options.enable_mem_pattern = pattern
        if not spin:
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if basic:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, tensors)

    return step, tensors


def _turns(steps: dict[str, Callable[[], object]], rounds: int, count: int) -> dict[str, Timed]:
    alternatives = {name: (lambda count, step=step: turn(step, count)) for name, step in steps.items()}
    return take_turns(alternatives, rounds=rounds, count=max(1, count))


def _at_pace(step: Callable[[], object]) -> Callable[[int], Turn]:
    def run(count: int) -> Turn:
        walls, due_s = [], time.monotonic()
        cpu_s = time.process_time()
        for _ in range(count):
            due_s += 1 / FPS
            time.sleep(max(0.0, due_s - time.monotonic()))
            started_s = time.perf_counter()
            step()
            walls.append((time.perf_counter() - started_s) * 1e3)
        return Turn(walls, (time.process_time() - cpu_s) * 1e3 / count)

    return run
