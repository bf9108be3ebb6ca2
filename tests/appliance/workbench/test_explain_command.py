"""`appliance models explain` as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.appliance.workbench.bench import Bench

pytestmark = pytest.mark.system


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def scene(path: Path) -> Path:
    """A red square at the left of a dull picture."""
    picture = np.full((192, 320, 3), 90, np.uint8)
    picture[60:120, 40:100] = (0, 0, 255)
    cv2.imwrite(str(path), picture)
    return path


def test_a_shipped_detector_looked_at_what_it_found(bench: Bench, tmp_path: Path) -> None:
    said = bench.fine("explain", "shapes", scene(tmp_path / "scene.png"), "--masks", "200", "--out", bench.out)
    assert said.startswith("red 0.")
    facts = json.loads((bench.out / "explain.json").read_text())
    left, top, right, bottom = facts["hot"]
    assert right > 40
    assert left < 100
    assert top < 120
    assert bottom > 60
    drawing = cv2.imread(str(bench.out / "explain.png"))
    assert drawing is not None
    assert drawing.shape == (192, 320, 3)


def test_what_cannot_be_explained_is_a_sentence(bench: Bench, tmp_path: Path) -> None:
    picture = scene(tmp_path / "scene.png")
    out = ("--out", bench.out)
    assert "no such file or folder" in bench.refused("explain", "shapes", "nowhere.png", *out)
    assert "knows no label 'cat'" in bench.refused("explain", "shapes", picture, "--label", "cat", *out)
    assert "finds no green here" in bench.refused("explain", "shapes", picture, "--label", "green", *out)
    assert "there is no frame or window 7" in bench.refused("explain", "shapes", picture, "--number", "7", *out)
    assert "no such model" in bench.refused("explain", "shape", picture, *out)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing of the kind")
    assert "not an ONNX model" in bench.refused("explain", broken, picture, *out)
