"""What a plan is built from, and its name in the cache: everything that would make another plan is part of the name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engines.digest import of_file
from engines.external import external_files
from engines.manifest import AudioInput, Manifest
from engines.tensorrt.options import GpuOptions, Target

if TYPE_CHECKING:
    from engines.bundle import Bundle

SCHEMA = 2
"""Of the cache: higher whenever a plan of an older version of this code must not be used."""

GOLDEN_INPUT = "golden/input.npz"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One plan to be built, or found."""

    network: Path
    """The ONNX file of the stage, in full precision."""
    options: GpuOptions
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Name of an input: its shape without the first axis, for networks that take any size."""
    int8: Path | None = None
    """The same network with Q/DQ nodes in TensorRT's symmetric form, where the bundle brings it."""
    on_processor: Path | None = None
    """What ONNX Runtime runs in place of `network`, where the bundle brings it."""
    manifest: Manifest | None = None
    """How its outputs are read, so that what it sees can be compared and not only its numbers."""
    golden: Path | None = None
    """Inputs to try it with (.npz); without, some are made."""

    def key(self, target: Target) -> str:
        """sha256 over the content of every file, the machine and the options. Raises EngineError, OSError."""
        built_with = asdict(self.options)
        for unrelated in ("plans", "graph", "whole"):
            del built_with[unrelated]
        text = json.dumps(
            {
                "schema": SCHEMA,
                "network": _contents(self.network),
                "int8": _contents(self.int8) if self.int8 else [],
                "target": asdict(target),
                "options": built_with,
                "sizes": {name: list(size) for name, size in self.sizes.items()},
            },
            sort_keys=True,
        )
        return hashlib.sha256(text.encode()).hexdigest()


def _contents(path: Path) -> list[str]:
    """Digests of an ONNX file and of the files that hold its weights."""
    return [of_file(path), *(of_file(path.parent / name) for name in external_files(path))]


def recipe_of(bundle: Bundle, stage: str, options: GpuOptions) -> Recipe:
    """The recipe for one stage of a model."""
    manifest = bundle.manifest
    network = bundle.stage_path(stage)
    variants = next(each.variants for each in manifest.stages if each.name == stage)
    int8 = [bundle.files[each.file] for each in variants if (each.engine, each.precision) == ("tensorrt", "int8")]
    first = manifest.stages[0].name == stage
    return Recipe(
        network,
        options,
        _sizes(manifest) if first else {},
        int8=int8[0] if int8 else None,
        on_processor=bundle.made_for(network, "onnxruntime"),
        manifest=manifest if len(manifest.stages) == 1 else None,
        golden=bundle.files.get(GOLDEN_INPUT) if first else None,
    )


def _sizes(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """Every input that the manifest knows, without its first axis, which counts samples."""
    spec = manifest.input
    if not isinstance(spec, AudioInput):
        size = (spec.height, spec.width)
        return {spec.tensor: (3, *size) if spec.layout == "nchw" else (*size, 3)}
    samples = spec.context + spec.samples
    if spec.layout == "n":  # its first axis counts no windows; `build` says so where it is free
        return {spec.tensor: ()}
    sizes = {name: shape[1:] for name, shape in spec.state_shapes.items()}
    return sizes | {spec.tensor: (samples,) if spec.layout == "bn" else (1, samples)}
