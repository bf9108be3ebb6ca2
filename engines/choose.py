"""Which back end runs a network: a fixed order of preference; every refusal is kept with its reason."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from engines.engine import Engine, EngineUnavailable
from engines.onnxrt import OnnxEngine, onnxruntime
from engines.tensorrt.engine import engine_for
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Refusal:
    """A back end that was preferred and cannot be used here."""

    engine: str
    reason: str
    error: EngineUnavailable | None = field(default=None, compare=False)
    """What was raised: a `PlanNeeded` is a refusal that time can mend."""

    def __str__(self) -> str:
        return f"{self.engine}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine to use, and those that would have been preferred."""

    engine: Engine
    refusals: tuple[Refusal, ...]


class NoEngine(EngineUnavailable):
    """No back end can be used."""

    def __init__(self, message: str, refusals: tuple[Refusal, ...]) -> None:
        super().__init__(message)
        self.refusals = refusals


Maker: TypeAlias = Callable[[Recipe, "int | None"], Engine]


def _tensorrt(recipe: Recipe, threads: int | None) -> Engine:
    return engine_for(recipe)


def _onnxruntime(recipe: Recipe, threads: int | None) -> Engine:
    onnxruntime()
    return OnnxEngine(recipe.on_processor or recipe.network, threads)


BACK_ENDS: dict[str, Maker] = {
    "tensorrt": _tensorrt,
    "onnxruntime": _onnxruntime,
}
"""In the order of preference. Each makes an engine for a network, or raises EngineUnavailable."""


def choose(path: Path, wanted: str = "auto", threads: int | None = None, gpu: GpuOptions | None = None) -> Choice:
    """The first back end that can be used here, not yet opened; `wanted` names the only one that may be.

    `threads`: per network, None chooses for this machine. Raises EngineUnavailable when there is none.
    """
    return _first(Recipe(path, gpu or GpuOptions()), wanted, threads, lambda engine: engine)


def open_first(stack: contextlib.ExitStack, recipe: Recipe, wanted: str = "auto", threads: int | None = None) -> Choice:
    """As `choose`, but the engine is open until `stack` ends: one that refuses to be opened is passed over."""
    return _first(recipe, wanted, threads, stack.enter_context)


def _first(recipe: Recipe, wanted: str, threads: int | None, take: Callable[[Engine], Engine]) -> Choice:
    if wanted != "auto" and wanted not in BACK_ENDS:
        raise EngineUnavailable(f"no back end is called {wanted}: expected auto, {' or '.join(BACK_ENDS)}")
    refusals: list[Refusal] = []
    for name in BACK_ENDS if wanted == "auto" else (wanted,):
        try:
            return Choice(take(BACK_ENDS[name](recipe, threads)), tuple(refusals))
        except EngineUnavailable as error:
            refusals.append(Refusal(name, str(error), error))
    reasons = "; ".join(map(str, refusals))
    last = refusals[-1].error
    raise NoEngine(f"{recipe.network}: no engine can run it here: {reasons}", tuple(refusals)) from last
