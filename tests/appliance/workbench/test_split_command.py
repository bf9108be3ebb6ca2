"""`appliance models split` as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import appliance
from engines.bundle import Bundle, write_bundle
from engines.manifest import Manifest
from tests.appliance.workbench.bench import Bench

pytestmark = pytest.mark.system


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_suggested_cut_is_made_and_both_versions_are_there(bench: Bench, tmp_path: Path) -> None:
    assert "| device ms |" in bench.fine("split", "tones", "--suggest", "--out", bench.out)
    facts = json.loads((bench.out / "split.json").read_text())
    assert {"all on the device", "all on the server"} < {each["name"] for each in facts["cuts"]}
    tensor = facts["cuts"][3]["tensor"]
    said = bench.fine("split", "tones", tensor, "--out", tmp_path / "cut")
    assert said.startswith("tones 2: main-1 -> main-2; answers as before")
    assert said.endswith(f"report: {tmp_path / 'cut' / 'split.md'}\n")
    assert "already" not in bench.fine("show", "tones@2")
    facts = json.loads((tmp_path / "cut" / "split.json").read_text())
    assert (facts["model"], facts["tensor"], facts["lost_variants"]) == ("tones 1", tensor, [])
    assert [each["name"] for each in facts["stages"]] == ["main-1", "main-2"]
    assert facts["largest_difference"] <= 1e-4
    assert (tmp_path / "cut" / "split.svg").read_text().startswith("<svg")


def test_variants_of_the_stage_that_is_cut_are_gone_and_the_command_says_so(bench: Bench, tmp_path: Path) -> None:
    old = Bundle.open(Path(appliance.__file__).parent / "bundles" / "tones" / "1")
    document = old.manifest.model_dump(by_alias=True)
    variant = {"engine": "onnxruntime", "precision": "int8", "file": "small.onnx"}
    document["stages"][0]["variants"] = [variant | {"digest": old.manifest.stages[0].digest}]
    files = {**old.files, "small.onnx": old.stage_path("main")}
    write_bundle(tmp_path / "tones", Manifest.model_validate(document), files)
    said = bench.fine("split", tmp_path / "tones", "conv1", "--out", bench.out)
    assert "main-1 -> main-2; answers as it did without variants (largest difference" in said
    assert "variants of the stage that was cut are gone (int8-onnxruntime): `appliance models quantize tones@" in said
    assert "lost its variants, which `quantize` makes anew: int8-onnxruntime" in (bench.out / "split.md").read_text()


def test_what_cannot_be_split_is_a_sentence(bench: Bench) -> None:
    assert "no tensor is called conv: did you mean conv1" in bench.refused("split", "tones", "conv")
    assert "give the TENSOR to cut at, or --suggest" in bench.refused("split", "tones")
    assert "no such file or folder" in bench.refused("split", "tones", "conv1", "--frames", "nowhere")
    assert "none is installed in" in bench.fine("list")
