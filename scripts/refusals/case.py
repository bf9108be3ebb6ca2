"""One way in which a GPU can be of no use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engines.gpu import Gpu
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.plan_cache import PlanCache
from engines.tensorrt.recipe import Recipe

FAKE = Gpu("Fake GPU", (8, 7), 13000, 8 << 30, integrated=True)
"""As tests/engines/tensorrt/fake_gpu/fakecuda.c describes itself."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What a case finds, and may damage: it has a copy of its own."""

    folder: Path
    recipe: Recipe
    key: str
    """Of its plan, which is there and good."""
    other_key: str
    """Of another network's plan, which is there, too."""
    pictures: bool = False
    """Whether the network is given a picture, prepared by the kernel."""

    @property
    def cache(self) -> PlanCache:
        return PlanCache(self.recipe.options.folder)

    @property
    def plan(self) -> Path:
        return self.cache.path(self.key)


@dataclass(frozen=True, slots=True)
class Case:
    """`prepare` does the damage, in the process that then asks for an answer."""

    group: str
    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[Stage], object] = lambda stage: None
    needs_pycuda: bool = True
    pictures: bool = False
    fresh: bool = False
    """In an interpreter of its own, since it is about what is loaded when it starts."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """Of a fresh one: texts in place of Python packages."""
    kills: bool = False
    """Ends the process by a signal, out of reach of any program: some starts later the GPU is left alone."""
    code: int = 0
    """The CUresult that is provoked, for folding many into one line."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case."""

    case: Case
    sentence: str
    """Why not the GPU, or not as fast as it could."""
    served_by: str
    """The engine that answered, or empty."""
    statuses: tuple[int, ...]
    """How the processes ended until one answered; negative: by a signal."""
    noise: str
    """What a process wrote to its standard error."""


def stage_in(folder: Path, network: Path, key: str, other_key: str, *, pictures: bool) -> Stage:
    """Of files that lie there as `ground` made them."""
    options = GpuOptions(plans=folder / "plans", precision="fp32")
    return Stage(folder, Recipe(network, options), key, other_key, pictures)
