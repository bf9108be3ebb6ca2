"""Inputs to try a plan with: those of the bundle, else some that resemble what the model is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from engines.engine import Array, EngineError, TensorSpec
from engines.manifest import AudioInput, ImageInput
from engines.stored_arrays import stored_arrays
from engines.tensorrt.recipe import Recipe

Inputs: TypeAlias = Mapping[str, Array]

_MADE = 3
_SEED = 7


def golden_inputs(recipe: Recipe, specs: Sequence[TensorSpec]) -> list[Inputs]:
    """Each holds one sample for a network with these inputs; at least one. Raises EngineError."""
    if recipe.golden is not None:
        return [_read(recipe, specs)]
    random = np.random.default_rng(_SEED)
    return [{spec.name: _made(spec, recipe, random) for spec in specs} for _ in range(_MADE)]


def _read(recipe: Recipe, specs: Sequence[TensorSpec]) -> Inputs:
    assert recipe.golden is not None
    inputs = stored_arrays(recipe.golden)
    missing = [spec.name for spec in specs if spec.name not in inputs]
    if missing:
        raise EngineError(f"{recipe.golden}: the golden inputs have no {', '.join(missing)}")
    return {spec.name: inputs[spec.name] for spec in specs}


def _made(spec: TensorSpec, recipe: Recipe, random: np.random.Generator) -> Array:
    """One sample: a picture of soft patches, a chord with noise, or numbers around zero."""
    rest = recipe.sizes.get(spec.name, tuple(size or 1 for size in spec.shape[1:]))
    shape = (spec.shape[0] or 1, *rest) if spec.shape else ()
    told = recipe.manifest.input if recipe.manifest is not None and recipe.manifest.input.tensor == spec.name else None
    if isinstance(told, ImageInput):
        return _picture(told, random)
    if isinstance(told, AudioInput):
        seconds = np.arange(shape[-1]) / told.rate_hz
        sound = np.sin(2 * np.pi * random.uniform(100, 2000) * seconds) + random.normal(0, 0.1, shape[-1])
        return np.broadcast_to(0.3 * sound, shape).astype(spec.dtype)
    if spec.dtype.kind != "f":
        return np.ones(shape, spec.dtype)
    return np.asarray(random.normal(0, 1, shape)).astype(spec.dtype)


def _picture(spec: ImageInput, random: np.random.Generator) -> Array:
    from engines.pictures import Pictures

    pixels = np.full((spec.height, spec.width, 3), random.integers(60, 160, 3), np.float64)
    for _ in range(12):
        top, left = random.integers(0, spec.height), random.integers(0, spec.width)
        down, across = random.integers(4, max(5, spec.height // 2)), random.integers(4, max(5, spec.width // 2))
        pixels[top : top + down, left : left + across] = random.integers(0, 256, 3)
    pixels += random.normal(0, 6, pixels.shape)
    into = Pictures(spec, rows=1)
    into.put(0, np.clip(pixels, 0, 255).astype(np.uint8))
    return np.array(into.tensors(1)[spec.tensor])
