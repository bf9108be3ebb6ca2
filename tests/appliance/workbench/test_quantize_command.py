"""`appliance models quantize` as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.appliance.workbench.bench import Bench
from tests.appliance.workbench.test_evaluate_command import squares, tone

pytestmark = pytest.mark.system


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_shipped_model_is_quantised_or_the_reason_is_said(bench: Bench, tmp_path: Path) -> None:
    for hertz in range(100, 6000, 300):
        tone(tmp_path / "data" / f"{hertz}.wav", hertz)
    result = bench("quantize", "tones", "--frames", tmp_path / "data", "--out", bench.out)
    variants = json.loads((bench.out / "quantize.json").read_text())["variants"]
    assert {each["name"] for each in variants} == {"int8-onnxruntime", "int8-tensorrt"}
    for each in variants:
        assert each["why"].startswith("kept" if each["accepted"] else "refused"), each
    kept = any(each["accepted"] for each in variants)
    assert result.exit_code == (0 if kept else 1), result.output
    assert ("tones 2: installed" in result.stdout) == kept


def test_bad_input_is_a_sentence(bench: Bench, tmp_path: Path) -> None:
    out = ("--out", bench.out)
    assert bench.refused("quantize", "shapes", *out).startswith("calibration needs frames: name a recording")
    assert "no such file" in bench.refused("quantize", "shapes", "--frames", "nowhere.png", *out)
    one = squares(tmp_path / "data", 1)
    assert "1 frames are too few" in bench.refused("quantize", "shapes", "--frames", one / "0.png", *out)
    half = bench.refused("quantize", "shapes", "--frames", one, "--precision", "float16", "--for", "tensorrt", *out)
    assert half.startswith("TensorRT makes half precision itself when it builds the plan")
    blank = tmp_path / "blank"
    squares(blank, 2)
    for path in blank.glob("*.png"):
        path.write_bytes((one / "0.png").read_bytes())
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"rubbish")
    assert "not an ONNX model" in bench.refused("quantize", broken, "--frames", blank, *out)
    assert "none is installed in" in bench.fine("list")


def test_how_the_judging_data_is_labelled_can_be_said(bench: Bench, tmp_path: Path) -> None:
    data = squares(tmp_path / "data", 2)
    arguments = ("quantize", "shapes", "--frames", data, "--labelled", data, "--out", bench.out)
    sentence = bench.refused(*arguments, "--format", "folders")
    assert "no labelled sample in it; expected a folder for each class" in sentence
    alone = ("quantize", "shapes", "--frames", data, "--format", "yolo", "--out", bench.out)
    assert "--format tells how the DATA of --labelled is labelled" in bench.refused(*alone)
