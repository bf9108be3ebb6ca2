"""`explain` finds what an answer depends on, where that is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engines.bundle import Bundle
from engines.engine import Array
from engines.manifest import AudioInput
from engines.model import Model
from engines.predictions import Detection, Label
from engines.workbench.explain import Explanation, Subject, explain, report, surest
from engines.workbench.report import write_folder
from engines.workbench.saliency import Hiding
from engines.workbench.spectrum import Spectrum
from engines.workbench.work import WorkbenchError
from tests.engines import models
from tests.engines.workbench import networks

ROOT = Path(__file__).parent.parent.parent.parent
FEW = Hiding(masks=300, cells=6)


def classifier(folder: Path) -> Bundle:
    of = models.manifest("classify", models.pictures(32, 32, fit="stretch"), ["bright", "dark"], name="classify")
    return models.bundle(of, networks.quadrant(folder / "quadrant.onnx"))


def explained(model: Model, sample: Array, hiding: Hiding = FEW) -> tuple[Explanation, Subject]:
    subject = surest(model, sample)
    assert subject is not None
    return explain(model, sample, subject, hiding), subject


def noise(height: int, width: int) -> Array:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def test_the_map_peaks_in_the_quadrant_the_answer_depends_on(tmp_path: Path) -> None:
    picture = np.full((240, 320, 3), 40, np.uint8)
    picture[:120, 160:] = 250
    with Model(classifier(tmp_path)) as model:
        explanation, subject = explained(model, picture)
    assert isinstance(subject, Label)
    assert subject.label == "bright"
    row, column = explanation.peak
    assert row < explanation.heat.shape[0] / 2
    assert column > explanation.heat.shape[1] / 2
    inside = explanation.heat[: explanation.heat.shape[0] // 2, explanation.heat.shape[1] // 2 :]
    assert inside.mean() > 5 * np.abs(explanation.heat[explanation.heat.shape[0] // 2 :]).mean()
    left, _, _, bottom = report(explanation, "quadrant 1", "picture").facts["hot"]
    assert left >= 130
    assert bottom <= 150


def test_what_is_hidden_last_matters_least(tmp_path: Path) -> None:
    picture = np.full((64, 64, 3), 0, np.uint8)
    picture[:32, 32:] = 255
    with Model(classifier(tmp_path)) as model:
        explanation, _ = explained(model, picture)
    assert explanation.curves.deletion_mean < 0.5 < explanation.curves.insertion_mean
    assert explanation.curves.deletion[0] == pytest.approx(explanation.curves.insertion[-1])


def test_the_same_seed_gives_the_same_map_and_another_seed_another(tmp_path: Path) -> None:
    with Model(classifier(tmp_path)) as model:
        first, _ = explained(model, noise(48, 48))
        again, _ = explained(model, noise(48, 48))
        other, _ = explained(model, noise(48, 48), Hiding(masks=300, cells=6, seed=1))
    np.testing.assert_array_equal(first.heat, again.heat)
    assert np.abs(first.heat - other.heat).max() > 0


def test_a_detection_is_explained_by_its_box(tmp_path: Path) -> None:
    of = models.manifest("detect", models.pictures(32, 32, fit="stretch"), ["blob"], name="yolo-v8", nms_iou=0.5)
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[24:72, 24:72] = 255
    with Model(models.bundle(of, networks.blob(tmp_path / "blob.onnx"))) as model:
        explanation, subject = explained(model, picture)
    assert isinstance(subject, Detection)
    row, column = explanation.peak
    assert 24 <= row < 72
    assert 24 <= column < 72
    outside = np.delete(np.delete(explanation.heat, range(16, 80), 0), range(16, 80), 1)
    assert explanation.heat[30:66, 30:66].mean() > 5 * np.abs(outside).mean()


def test_a_low_tone_is_heard_low_and_when_it_sounds() -> None:
    bundle = Bundle.open(ROOT / "appliance" / "bundles" / "tones" / "1")
    assert isinstance(bundle.manifest.input, AudioInput)
    seconds = np.arange(bundle.manifest.input.samples) / 16_000
    sound = (0.5 * np.sin(2 * np.pi * 200 * seconds) * (seconds > 0.25)).astype(np.float32)
    with Model(bundle) as model:
        explanation, subject = explained(model, sound)
    assert subject.label == "low"
    start_s, _, low_hz, high_hz = report(explanation, "tones 1", "tone").facts["hot"]
    assert start_s > 0.1
    assert low_hz <= 200 <= high_hz
    assert high_hz < 1500


def test_a_sound_that_nothing_is_hidden_of_comes_back() -> None:
    sound = np.random.default_rng(0).uniform(-1, 1, 7000).astype(np.float32)
    spectrum = Spectrum(sound, 16_000, bands=48)
    np.testing.assert_allclose(spectrum.masked(np.ones(spectrum.shape, np.float32)), sound, atol=1e-5)
    assert np.abs(spectrum.masked(np.zeros(spectrum.shape, np.float32))).max() == 0


def test_the_report_is_written_whole_and_overwrites_nothing(tmp_path: Path) -> None:
    with Model(classifier(tmp_path)) as model:
        explanation, _ = explained(model, noise(40, 40))
    files = report(explanation, "quadrant 1", "noise").files()
    write_folder(tmp_path / "out", files)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"explain.json", "explain.md", "explain.png"}
    facts = json.loads((tmp_path / "out" / "explain.json").read_text())
    assert np.array(facts["heat"]).shape == (40, 40)
    with pytest.raises(WorkbenchError, match="nothing is overwritten"):
        write_folder(tmp_path / "out", files)


def test_a_voice_detector_has_no_map_and_says_so() -> None:
    of = models.manifest("vad", models.sounds(512), ["speech"], name="vad")
    with pytest.raises(WorkbenchError, match="no map to draw"):
        explain(Model(models.bundle(of)), np.zeros(512, np.float32), Label("speech", 0, 0.9))
