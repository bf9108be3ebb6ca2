"""What goes into each network of a model when it is given samples: for calibration, comparison and timing."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias

import numpy as np

from engines.bundle import Bundle
from engines.engine import Array, Engine, EngineError, Tensors
from engines.manifest import AudioInput, ImageInput
from engines.model import Model
from engines.onnxrt import OnnxEngine
from engines.workbench.work import Tell, WorkbenchError, silent

Side: TypeAlias = Literal["given", "made"]
"""Of a network: what goes in, what comes out."""


class Recorder:
    """An engine that keeps copies of what it is given or makes, and otherwise is the one it is made of."""

    def __init__(self, engine: Engine, keep: Side) -> None:
        self._engine, self._keep = engine, keep
        self.name = engine.name
        self.inputs, self.outputs = engine.inputs, engine.outputs
        self.kept: list[dict[str, Array]] = []

    def run(self, inputs: Tensors) -> dict[str, Array]:
        if self._keep == "given":
            self.kept.append({name: array.copy() for name, array in inputs.items()})
        outputs = self._engine.run(inputs)
        if self._keep == "made":
            self.kept.append({name: array.copy() for name, array in outputs.items()})
        return outputs

    def cancel(self) -> None:
        self._engine.cancel()

    def __enter__(self) -> Recorder:
        self._engine.__enter__()
        self.inputs, self.outputs = self._engine.inputs, self._engine.outputs
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.__exit__(kind, error, trace)


def inputs_of_stages(bundle: Bundle, samples: Iterable[Array], tell: Tell = silent) -> list[list[dict[str, Array]]]:
    """For every stage, what it was given for each sample; see `recorded`."""
    return recorded(bundle, samples, "given", tell)


def recorded(bundle: Bundle, samples: Iterable[Array], side: Side, tell: Tell = silent) -> list[list[dict[str, Array]]]:
    """For every stage, what it was given for each sample or made of it. Sound is taken as one stream, in order.

    Raises WorkbenchError when there is no sample, EngineError when the model fails at one.
    """
    recorders: list[Recorder] = []

    def open_engine(path: Path) -> Engine:
        recorders.append(Recorder(OnnxEngine(path), side))
        return recorders[-1]

    with Model(bundle, open_engine=open_engine) as model:
        stream, count = model.new_stream(), 0
        for sample in samples:
            tell("looking at samples", count, 0)
            answer = model.predict([sample], streams=[stream])[0]
            if isinstance(answer, EngineError):
                raise answer
            count += 1
    if not count:
        raise WorkbenchError(f"{bundle.manifest.name}: no sample was given: name a recording, a folder or a source")
    return [recorder.kept for recorder in recorders]


def noise(spec: ImageInput | AudioInput, count: int, seed: int = 0) -> list[Array]:
    """Samples without meaning, for timing only."""
    random = np.random.default_rng(seed)
    if isinstance(spec, AudioInput):
        return [(0.1 * random.standard_normal(spec.samples)).astype(np.float32) for _ in range(count)]
    return [random.integers(0, 256, (spec.height, spec.width, 3), np.uint8) for _ in range(count)]


def median_ms(engine: Engine, inputs: Tensors, seconds: float = 0.2, least: int = 5) -> float:
    """Milliseconds of one run of an open engine: the median of those that fit into about `seconds`."""
    engine.run(inputs)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < until:
        start = time.perf_counter()
        engine.run(inputs)
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times))


def largest_difference(some: Tensors, others: Tensors) -> float:
    """Between arrays of the same names: absolute, or relative to the largest finite value where that is above 1.

    NaN, or the same infinity, at the same place in both is no difference; where only one of them is not finite, the
    difference is infinite, as it is between arrays of other shapes.
    """
    worst = 0.0
    for name, one in some.items():
        if one.shape != others[name].shape:
            return float("inf")
        own, other = one.astype(np.float64), others[name].astype(np.float64)
        differs = (own != other) & ~(np.isnan(own) & np.isnan(other))
        apart = np.abs(own[differs] - other[differs])
        if not np.isfinite(apart).all():
            return float("inf")
        scale = np.abs(own[np.isfinite(own)]).max(initial=1.0)
        worst = max(worst, float(apart.max(initial=0.0) / scale))
    return worst


def take_turns_ms(first: Path, second: Path, inputs: Tensors, seconds: float = 1.0) -> tuple[float, float]:
    """Milliseconds of one run of two networks, in turn, so that a busy machine slows both: medians."""
    times: tuple[list[float], list[float]] = ([], [])
    with OnnxEngine(first) as one, OnnxEngine(second) as other:
        one.run(inputs)
        other.run(inputs)
        until = time.perf_counter() + seconds
        while len(times[0]) < 10 or time.perf_counter() < until:
            for engine, own in zip((one, other), times, strict=True):
                start = time.perf_counter()
                engine.run(inputs)
                own.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times[0])), float(np.median(times[1]))
