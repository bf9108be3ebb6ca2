"""How long a model takes here: the whole path of a sample against the bare engine on the same tensor, in turn."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from engines.bundle import Bundle
from engines.engine import EngineError
from engines.manifest import AudioInput
from engines.model import Model


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds per sample."""

    model: str
    engine: str
    runs: int
    whole_p50_ms: float
    whole_p99_ms: float
    engine_p50_ms: float
    engine_p99_ms: float
    per_s: float
    """Samples per second, one after the other, of the whole path."""


def measure(bundle: Bundle, engine: str, seconds: float) -> Figures:
    """Run for about `seconds`; raises EngineError when the model does not answer."""
    manifest = bundle.manifest
    rng = np.random.default_rng(0)
    with Model(bundle, engine=engine) as model:
        model.warm_up()
        if isinstance(manifest.input, AudioInput):
            sample = rng.standard_normal(manifest.input.samples).astype(np.float32) * np.float32(0.1)
        else:
            sample = rng.integers(0, 256, (720, 1280, 3), np.uint8)
        stream = model.new_stream()
        whole: list[float] = []
        bare: list[float] = []
        until = time.perf_counter() + seconds
        while time.perf_counter() < until or len(whole) < 5:
            start = time.perf_counter()
            answer = model.predict([sample], streams=[stream])[0]
            whole.append((time.perf_counter() - start) * 1e3)
            if isinstance(answer, EngineError):
                raise answer
            start = time.perf_counter()
            model.run_bare()
            bare.append((time.perf_counter() - start) * 1e3)
        name = f"{manifest.name} {manifest.version}"
        return Figures(
            model=name,
            engine=model.engine_name,
            runs=len(whole),
            whole_p50_ms=float(np.percentile(whole, 50)),
            whole_p99_ms=float(np.percentile(whole, 99)),
            engine_p50_ms=float(np.percentile(bare, 50)),
            engine_p99_ms=float(np.percentile(bare, 99)),
            per_s=1e3 / float(np.mean(whole)),
        )
