"""Precision is a property of the ONNX file: which ones to try on a GPU, and how the file in half precision is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engines.engine import EngineError, EngineUnavailable
from engines.tensorrt.recipe import Recipe

_FAST_FP16 = (7, 0)
_FAST_INT8 = (7, 2)
"""Compute capabilities from which tensor cores make it worth while."""


def candidates(recipe: Recipe, compute_capability: tuple[int, int]) -> tuple[str, ...]:
    """The precisions to try, the quickest first. Raises EngineUnavailable when the one that is asked for cannot be."""
    wanted = recipe.options.precision
    if wanted == "int8" and recipe.int8 is None:
        raise EngineUnavailable(
            f'precision = "int8": the bundle of {recipe.network} holds no variant of it in int8 for tensorrt: make one '
            'with `appliance models quantize`, or use "auto"'
        )
    if wanted != "auto":
        return (wanted,)
    able = []
    if recipe.int8 is not None and compute_capability >= _FAST_INT8:
        able.append("int8")
    if compute_capability >= _FAST_FP16:
        able.append("fp16")
    return (*able, "fp32")


def write_fp16(network: Path, into: Path) -> Path:
    """The same network in half precision, inputs and outputs as they were; returns the new file. Raises EngineError."""
    try:
        import onnx
        from onnxruntime.transformers.float16 import (  # type: ignore[import-untyped]  # it ships no types
            convert_float_to_float16,
        )
    except ImportError as error:
        raise EngineUnavailable(f"half precision needs onnx and onnxruntime: {error}: pip install onnx") from error
    try:
        model = onnx.load(str(network))
        half = convert_float_to_float16(model, keep_io_types=True)
        _drop_repeated_casts(half.graph)
        path = into / f"{network.stem}.fp16.onnx"
        onnx.save(half, str(path))
    except Exception as error:  # the converter raises many types; this is the border
        raise EngineError(f"{network.name} cannot be converted to half precision: {error}") from error
    return path


def _drop_repeated_casts(graph: Any) -> None:
    """The converter casts a tensor once for every node that reads it, all under one name, which no reader accepts."""
    made: set[str] = set()
    kept = []
    for node in graph.node:
        if node.op_type == "Cast" and node.output[0] in made:
            continue
        made.update(node.output)
        kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
