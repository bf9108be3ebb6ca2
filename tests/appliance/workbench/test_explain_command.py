"""`appliance models explain` as a person uses it."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.engine import Array
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


def test_of_a_long_recording_only_the_best_frame_is_kept(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = cv2.imread(str(scene(tmp_path / "scene.png")))
    assert seen is not None
    frames: list[weakref.ref[Array]] = []
    most_kept = 0

    def recording(*_: object) -> Iterator[Array]:
        nonlocal most_kept
        for number in range(40):
            frame = seen.copy() if number == 20 else np.full_like(seen, 90)
            frames.append(weakref.ref(frame))
            most_kept = max(most_kept, sum(each() is not None for each in frames))
            yield frame

    monkeypatch.setattr("appliance.material.material", recording)
    for number, name in (((), "surest"), (("--number", "20"), "number")):
        said = bench.fine("explain", "shapes", "film.mp4", *number, "--masks", "10", "--out", tmp_path / name)
        assert "in film.mp4 #20: " in said
    assert most_kept <= 4
