"""Whether the fake GPU is here, and what tests on it share. scripts/check_tensorrt makes it; see fake_gpu/.

Real PyCUDA on a CUDA driver that works on host memory; TensorRT is a stand-in that computes with ONNX Runtime.
"""

from __future__ import annotations

import numpy as np
import pytest

from engines.engine import Array, EngineUnavailable
from engines.gpu import probe
from engines.tensorrt.builder import Builder, Built
from engines.tensorrt.engine import offer
from engines.tensorrt.recipe import Recipe


def why_not() -> str | None:
    try:
        if probe().name == "Fake GPU":
            return None if offer().target.tensorrt.startswith("tensorrt 1") else "no stand-in for TensorRT"
        return "there is a real GPU: scripts/gpu_check is for it"
    except EngineUnavailable as error:
        return f"no fake GPU here ({error}): run scripts/check_tensorrt"


WHY_NOT = why_not()
needs_fake_gpu = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def built(recipe: Recipe) -> Recipe:
    """With its plan in the cache."""
    with Builder(recipe, offer().target) as builder:
        state = builder.wait(30)
    assert isinstance(state, Built), state
    return recipe


def ones(rows: int, value: float = 1) -> Array:
    return np.full((rows, 4), value, np.float32)
