"""What an owner may choose about the GPU, and the machine that a plan is tied to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Precision: TypeAlias = Literal["auto", "fp32", "fp16", "int8"]
"""`auto` takes the first of int8 (where the bundle brings it), fp16 and fp32 that agrees with the golden outputs."""


@dataclass(frozen=True, slots=True)
class GpuOptions:
    """How networks are built for the GPU, and run there."""

    plans: Path | None = None
    """Folder of the plan cache; None: `default_folder()`."""
    precision: Precision = "auto"
    most_rows: int = 8
    """Samples in one run of a network that takes any number."""
    graph: bool = True
    """Record the work of a frame as one CUDA graph; false starts every piece by itself."""
    whole: bool = False
    """Copy every output back as the network gives it, also where the plan has chosen what is worth decoding."""
    dla_core: int | None = None
    """Deep-learning accelerator of an Orin to build for; layers it cannot run stay on the GPU."""
    workspace_mb: int = 1024
    """Most memory that a layer may use while it is tried and run."""
    effort: int = 3
    """TensorRT's builder optimisation level, 0 to 5."""

    @property
    def folder(self) -> Path:
        return self.plans or default_folder()


@dataclass(frozen=True, slots=True)
class Target:
    """The machine that a plan is tied to: it works with exactly this version on exactly this kind of GPU."""

    tensorrt: str
    """Module and version, such as `tensorrt 10.3.0`."""
    gpu: str
    compute_capability: tuple[int, int]

    @property
    def slug(self) -> str:
        """For a file's name."""
        text = f"{self.tensorrt}-sm{self.compute_capability[0]}{self.compute_capability[1]}-{self.gpu}"
        return "".join(c if c.isalnum() or c in ".-" else "_" for c in text)


def default_folder() -> Path:
    """`$APPLIANCE_PLANS`, else `plans` in systemd's cache folder or the user's own."""
    environment = os.environ
    if environment.get("APPLIANCE_PLANS"):
        return Path(environment["APPLIANCE_PLANS"])
    if environment.get("CACHE_DIRECTORY"):
        return Path(environment["CACHE_DIRECTORY"].split(":")[0]) / "plans"
    cache = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "appliance" / "plans"
