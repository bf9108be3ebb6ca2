"""The model `digits` that comes with the appliance: whole, small, and right on displays that it never saw."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from appliance.catalogue import Catalogue
from engines.bundle import Bundle
from engines.library import Library
from engines.model import Model
from engines.onnxrt import OnnxEngine
from engines.predictions import Answer, Detection

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "appliance" / "bundles" / "digits" / "1"

COLOURS = {
    "dark on a grey LCD": ((150, 165, 150), (25, 30, 25)),
    "red LEDs": ((12, 12, 20), (40, 40, 255)),
    "green LEDs": ((10, 20, 10), (60, 255, 60)),
    "white on blue": ((200, 80, 20), (255, 255, 255)),
}
"""Blue, green and red of the back and of the digits."""
TEXTS = ("0123456789", "40751", "8866", "1127", "3")


@pytest.fixture
def renderer(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """The modules of the renderer that draw, by name."""
    monkeypatch.syspath_prepend(ROOT / "scripts" / "train")
    return {name: importlib.import_module(f"digits.{name}") for name in ("ink", "segments", "surfaces")}


def read(model: Model, picture: np.ndarray) -> list[Detection]:
    """What the model finds, from left to right."""
    [answer] = model.predict([picture])
    assert isinstance(answer, Answer)
    found = [each for each in answer.predictions if isinstance(each, Detection)]
    return sorted(found, key=lambda each: each.box[0] + each.box[2])


def test_the_bundle_is_whole_and_small_and_tells_about_itself() -> None:
    bundle = Bundle.open(FOLDER)
    assert bundle.stage_path("main").stat().st_size <= 2_000_000
    assert bundle.manifest.labels == tuple("0123456789")
    card = bundle.file_path("MODEL_CARD.md").read_text()
    for told in ("## Data", "## Accuracy", "## Limits", "reading accuracy", "mAP50"):
        assert told in card


def accuracy(pattern: str) -> float:
    """A figure of the model card, which the script that trains writes from what it measured."""
    found = re.search(pattern, (FOLDER / "MODEL_CARD.md").read_text())
    assert found, f"the card has no figure like {pattern}"
    return float(found[1])


def test_digits_are_found_where_they_are_in_fonts_it_never_saw() -> None:
    assert accuracy(r"mAP50 ([\d.]+)") >= 0.9


def test_digits_are_read_right_in_fonts_it_never_saw() -> None:
    assert accuracy(r"reading accuracy ([\d.]+) % of digits") >= 95


def test_what_is_no_digit_is_seldom_read_as_one() -> None:
    assert accuracy(r"([\d.]+) false digits per picture") <= 0.27


def test_it_is_found_by_its_name_where_nothing_is_installed(tmp_path: Path) -> None:
    assert Catalogue.before_shipped(Library(tmp_path)).find("digits").manifest == Bundle.open(FOLDER).manifest


def test_the_golden_outputs_are_reproduced() -> None:
    bundle = Bundle.open(FOLDER)
    inputs = dict(np.load(bundle.file_path("golden/input.npz"), allow_pickle=False))
    expected = dict(np.load(bundle.file_path("golden/output.npz"), allow_pickle=False))
    with OnnxEngine(bundle.stage_path("main")) as engine:
        for key, value in engine.run(inputs).items():
            np.testing.assert_allclose(value, expected[key], atol=1e-3)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("display", COLOURS)
def test_every_digit_of_a_display_is_read_right(display: str, text: str, renderer: dict[str, ModuleType]) -> None:
    ink, segments = renderer["ink"], renderer["segments"]
    shape = segments.SegmentShape(width=0.55, thickness=0.11, gap=0.015, slant=0.08, pointed=1.0, habits=frozenset())
    line = ink.set_line(segments.Segments(shape), text, 44, np.random.default_rng(0), spacing=0.22)
    back, paint = COLOURS[display]
    picture = np.full((360, 480, 3), back, np.uint8)
    x, y = (480 - line.mask.shape[1]) // 2, 150
    ink.painted(picture, line.mask, paint, x, y)
    with Model(Bundle.open(FOLDER)) as model:
        found = read(model, picture)
    assert "".join(each.label for each in found) == text
    for each, mark in zip(found, line.marks, strict=True):
        left, top, right, bottom = mark.moved(x, y).box()
        middle = (each.box[0] + each.box[2]) / 2, (each.box[1] + each.box[3]) / 2
        assert left - 3 <= middle[0] <= right + 3
        assert top <= middle[1] <= bottom


@pytest.mark.system
def test_hardly_ever_is_something_read_on_an_empty_wall(renderer: dict[str, ModuleType]) -> None:
    walls = [renderer["surfaces"].surface(480, 640, np.random.default_rng(seed)) for seed in range(100)]
    with Model(Bundle.open(FOLDER)) as model:
        assert sum(bool(read(model, wall)) for wall in walls) <= 5


def test_a_bare_python_names_the_packages_that_its_making_needs() -> None:
    script = str(ROOT / "scripts" / "train" / "make_digits.py")
    asked = subprocess.run(
        [sys.executable, "-I", "-S", script, "--packages"], capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    packages = asked.stdout.split()
    assert "fonts-dseg" in packages
    assert all(each.startswith("fonts-") for each in packages)
