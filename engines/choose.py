"""Which back end runs a network: a fixed order of preference; every refusal is kept with its reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engines.engine import Engine, EngineUnavailable
from engines.gpu import probe
from engines.onnxrt import OnnxEngine, onnxruntime


@dataclass(frozen=True, slots=True)
class Refusal:
    """A back end that was preferred and cannot be used here."""

    engine: str
    reason: str

    def __str__(self) -> str:
        return f"{self.engine}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine to use, not yet opened, and those that would have been preferred."""

    engine: Engine
    refusals: tuple[Refusal, ...]


def _tensorrt(path: Path, threads: int | None) -> Engine:
    gpu = probe()
    raise EngineUnavailable(f"{gpu.name} is there, but this version of the appliance has no TensorRT back end")


def _onnxruntime(path: Path, threads: int | None) -> Engine:
    onnxruntime()
    return OnnxEngine(path, threads)


BACK_ENDS: dict[str, Callable[[Path, int | None], Engine]] = {
    "tensorrt": _tensorrt,
    "onnxruntime": _onnxruntime,
}
"""In the order of preference. Each makes an engine for a file, or raises EngineUnavailable."""


def choose(path: Path, wanted: str = "auto", threads: int | None = None) -> Choice:
    """The first back end that can be used here; `wanted` names the only one that may be.

    `threads`: per network, None chooses for this machine. Raises EngineUnavailable when there is none.
    """
    if wanted != "auto" and wanted not in BACK_ENDS:
        raise EngineUnavailable(f"no back end is called {wanted}: expected auto, {' or '.join(BACK_ENDS)}")
    refusals: list[Refusal] = []
    for name in BACK_ENDS if wanted == "auto" else (wanted,):
        try:
            return Choice(BACK_ENDS[name](path, threads), tuple(refusals))
        except EngineUnavailable as error:
            refusals.append(Refusal(name, str(error)))
    reasons = "; ".join(map(str, refusals))
    raise EngineUnavailable(f"{path}: no engine can run it here: {reasons}")
