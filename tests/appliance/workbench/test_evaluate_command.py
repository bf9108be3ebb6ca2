"""`appliance models evaluate` and `compare` as a person uses them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # it ships no types

from appliance.catalogue import Catalogue
from tests.appliance.workbench.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def tone(path: Path, hertz: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.4 * np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000), 16_000)


def test_a_listener_is_evaluated_on_a_folder_for_each_class(bench: Bench, tmp_path: Path) -> None:
    for label, hertz in {"low": 200, "middle": 1000, "high": 4000}.items():
        tone(tmp_path / "data" / label / "1.wav", hertz)
    tone(tmp_path / "data" / "high" / "2.wav", 210)  # labelled wrongly
    said = bench.fine("evaluate", "tones", tmp_path / "data", "--out", bench.out)
    assert "Accuracy **0.7500**" in said
    facts = json.loads((bench.out / "evaluate.json").read_text())
    row = facts["confusion"][facts["names"].index("high")]
    assert row[facts["names"].index("low")] == 1


def squares(folder: Path, count: int = 4) -> Path:
    """Pictures with one saturated square each, and YOLO's text files."""
    folder.mkdir(parents=True)
    for number in range(count):
        picture = np.full((192, 320, 3), 90, np.uint8)
        left, top = 30 + 40 * number, 20 + 20 * number
        picture[top : top + 60, left : left + 60] = [(0, 0, 255), (0, 255, 0), (255, 0, 0)][number % 3]
        cv2.imwrite(str(folder / f"{number}.png"), picture)
        line = f"{number % 3} {(left + 30) / 320} {(top + 30) / 192} {60 / 320} {60 / 192}\n"
        (folder / f"{number}.txt").write_text(line)
    return folder


def test_a_finder_is_evaluated_on_yolo_files(bench: Bench, tmp_path: Path) -> None:
    said = bench.fine("evaluate", "shapes", squares(tmp_path / "data"), "--out", bench.out)
    facts = json.loads((bench.out / "evaluate.json").read_text())
    assert facts["map50"] > 0.95, said
    assert set(facts["classes"]) == {"red", "green", "blue"}


def test_two_versions_are_compared(bench: Bench, tmp_path: Path) -> None:
    data = squares(tmp_path / "data")
    assert "both say the same in **100.00%**" in bench.fine("compare", "shapes", "shapes", data, "--out", bench.out)
    assert (bench.out / "compare.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("other", [{"rate_hz": 32_000}, {"samples": 4000}])
def test_models_that_hear_other_windows_are_not_compared(other: dict[str, int], bench: Bench, tmp_path: Path) -> None:
    tone(tmp_path / "data" / "1.wav", 1000)
    shipped = Catalogue.default().find("tones").folder
    copy = tmp_path / "copy"
    shutil.copytree(shipped, copy)
    document = json.loads((copy / "bundle.json").read_text())
    document["input"] |= other
    (copy / "bundle.json").write_text(json.dumps(document))
    sentence = bench.refused("compare", "tones", copy, tmp_path / "data", "--out", bench.out)
    assert "give two models of the same windows, or `evaluate` each" in sentence
    assert f"{next(iter(other.values()))}" in sentence


def test_bad_input_is_a_sentence(bench: Bench, tmp_path: Path) -> None:
    out = ("--out", bench.out)
    assert "no such folder" in bench.refused("evaluate", "shapes", tmp_path / "nowhere", *out)
    tone(tmp_path / "data" / "cow" / "1.wav", 300)
    assert "no label in common" in bench.refused("evaluate", "tones", tmp_path / "data", *out)
    assert "no such file" in bench.refused("compare", "shapes", "shapes", "nowhere.png", *out)
    words = bench.refused("compare", "shapes", "tones", tmp_path / "data", *out)
    assert "do not take the same kind of sample" in words
