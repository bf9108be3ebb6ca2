"""A network and its plan, for tests on the fake GPU."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import Recipe
from tests import networks
from tests.engines.tensorrt.on_fake_gpu import built


@pytest.fixture
def options(tmp_path: Path) -> GpuOptions:
    return GpuOptions(plans=tmp_path / "plans")


@pytest.fixture(scope="session")
def built_double(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the network y = x + x and its plan: building it takes a process and a second."""
    folder = tmp_path_factory.mktemp("double")
    built(Recipe(networks.double(folder / "double.onnx"), GpuOptions(plans=folder / "plans")))
    return folder


@pytest.fixture
def double(tmp_path: Path, options: GpuOptions, built_double: Path) -> Recipe:
    """y = x + x, built; the test's own copy."""
    shutil.copytree(built_double, tmp_path, dirs_exist_ok=True)
    return Recipe(tmp_path / "double.onnx", options)
