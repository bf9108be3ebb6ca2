"""The bill of materials of a package: every wheel in it and nothing else, in the words of CycloneDX."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import REPOSITORY

PACKAGE = (REPOSITORY / "scripts/package").read_text()


@pytest.fixture(scope="module")
def bills() -> ModuleType:
    pytest.importorskip("cyclonedx", reason="cyclonedx-python-lib is not installed: scripts/test installs it")
    place = REPOSITORY / "scripts/packaging/bill_of_materials.py"
    spec = importlib.util.spec_from_file_location("bill_of_materials", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def wheel(folder: Path, name: str, version: str, *lines: str, tag: str = "py3-none-any") -> Path:
    path = folder / f"{name.replace('-', '_')}-{version}-{tag}.whl"
    head = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines])
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name.replace('-', '_')}-{version}.dist-info/METADATA", head + "\n\nA description.\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    wheel(
        tmp_path,
        "edge-inference-appliance",
        "0.1.0",
        "License: Apache-2.0",
        "Requires-Dist: Some_Thing>=1",
        "Requires-Dist: click; extra == 'never'",
    )
    wheel(tmp_path, "some-thing", "1.2", "License-Expression: MIT", tag="cp310-cp310-linux_x86_64")
    wheel(tmp_path, "some-thing", "1.2", "License-Expression: MIT", tag="cp311-cp311-linux_x86_64")
    wheel(tmp_path, "click", "8.1", "Classifier: License :: OSI Approved :: BSD License", "Summary: words")
    return tmp_path


def read(bills: ModuleType, folder: Path, architecture: str = "amd64") -> Any:
    made = bills.bill([bills.wheel(path) for path in folder.glob("*.whl")], architecture)
    return json.loads(bills.written(made))


def test_every_wheel_is_in_it_with_its_digest_and_licence(bills: ModuleType, folder: Path) -> None:
    document = read(bills, folder)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert document["metadata"]["component"]["name"] == "edge-inference-appliance"
    parts = {part["purl"]: part for part in document["components"]}
    assert parts.keys() == {"pkg:pypi/some-thing@1.2", "pkg:pypi/click@8.1"}
    assert parts["pkg:pypi/some-thing@1.2"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert parts["pkg:pypi/click@8.1"]["licenses"] == [{"license": {"name": "BSD License"}}]
    told = [each["value"] for part in parts.values() for each in part["properties"]]
    told += [each["value"] for each in document["metadata"]["component"]["properties"]]
    for path in folder.glob("*.whl"):
        assert f"{path.name} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" in told


def test_what_needs_what_is_in_it_and_extras_are_not(bills: ModuleType, folder: Path) -> None:
    needs = {each["ref"]: each.get("dependsOn", []) for each in read(bills, folder)["dependencies"]}
    assert needs["pkg:pypi/edge-inference-appliance@0.1.0"] == ["pkg:pypi/some-thing@1.2"]


def test_the_same_wheels_make_the_same_bill(bills: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1793491200")
    document = read(bills, folder)
    assert document == read(bills, folder)
    assert document["metadata"]["timestamp"].startswith("2026-11-01")
    assert document["serialNumber"] != read(bills, folder, "arm64")["serialNumber"]


def test_a_file_that_is_no_wheel_is_named(bills: ModuleType, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        archive.writestr("nothing", "")
    with pytest.raises(ValueError, match=r"a\.whl"):
        bills.wheel(tmp_path / "a.whl")


def test_the_package_is_built_with_its_bill() -> None:
    assert "bill_of_materials.py" in PACKAGE
    assert "bill-of-materials.cdx.json" in (REPOSITORY / "SECURITY.md").read_text()
