"""A network and its plan, for tests on the fake GPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe
from tests import networks
from tests.engines.tensorrt.on_fake_gpu import built


@pytest.fixture
def options(tmp_path: Path) -> GpuOptions:
    return GpuOptions(plans=tmp_path / "plans")


@pytest.fixture
def double(tmp_path: Path, options: GpuOptions) -> Recipe:
    """y = x + x, built."""
    return built(Recipe(networks.double(tmp_path / "double.onnx"), options))
