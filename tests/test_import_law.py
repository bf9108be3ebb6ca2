"""Imports point one way, and importing our packages loads nothing heavy."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"appliance", "capture", "engines"}
MAY_IMPORT = {"capture": {"capture"}, "engines": {"engines"}, "appliance": OURS}
HEAVY = {"cv2", "onnxruntime", "onnx", "sounddevice", "soundfile", "soxr", "tensorrt", "pycuda", "paho", "rich"}


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """First names of every module that `path` imports, at any depth of its code."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield str(node.module).split(".")[0]


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_a_package_imports_only_what_the_law_allows(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        broken = set(imports(path)) & OURS - MAY_IMPORT[package]
        assert not broken, f"{path.relative_to(ROOT)} imports {broken}"


@pytest.mark.parametrize("package", ["tensorrt", "pycuda"])
def test_only_engines_touches_the_gpu_libraries(package: str) -> None:
    for name in ("appliance", "capture"):
        for path in (ROOT / name).rglob("*.py"):
            assert package not in set(imports(path)), path


@pytest.mark.parametrize("package", sorted(OURS))
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    code = f"import sys, {package}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert HEAVY & set(loaded) == set()


def test_threads_are_started_in_one_place_but_for_those_of_models_on_call_and_of_the_registry() -> None:
    """A room has one for each model, which any thread may load and unload; a registry's listeners take no event."""
    starters = {
        path.relative_to(ROOT).as_posix()
        for package in OURS
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("threading.Thread", "Thread")
    }
    assert starters == {"appliance/threads.py", "appliance/service/room.py", "appliance/registry/serving.py"}
