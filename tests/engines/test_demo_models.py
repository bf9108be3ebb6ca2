"""The two models that come with the appliance: made by our script, right on what they are made for."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from appliance.pipeline.tracker import iou
from capture.options import VideoOptions
from capture.shapes import Shapes
from engines.bundle import Bundle
from engines.model import Model
from engines.onnxrt import OnnxEngine
from engines.predictions import Answer, Detection, Label

ROOT = Path(__file__).parent.parent.parent
NAMES = ("shapes", "tones")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "make_demo_models", ROOT / "scripts" / "train" / "make_demo_models.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shipped(name: str) -> Bundle:
    return Bundle.open(ROOT / "appliance" / "bundles" / name / "1")


@pytest.mark.parametrize("name", NAMES)
def test_the_golden_outputs_are_reproduced(name: str) -> None:
    bundle = shipped(name)
    inputs = dict(np.load(bundle.file_path("golden/input.npz"), allow_pickle=False))
    expected = dict(np.load(bundle.file_path("golden/output.npz"), allow_pickle=False))
    with OnnxEngine(bundle.stage_path("main")) as engine:
        outputs = engine.run(inputs)
        for key, value in expected.items():
            np.testing.assert_allclose(outputs[key], value, atol=1e-3)


def test_the_script_makes_what_is_shipped(script: ModuleType, tmp_path: Path) -> None:
    for made in script.make(tmp_path):
        known = shipped(made.manifest.name)
        inputs = dict(np.load(known.file_path("golden/input.npz"), allow_pickle=False))
        with OnnxEngine(made.stage_path("main")) as fresh, OnnxEngine(known.stage_path("main")) as old:
            outputs = {key: np.array(value) for key, value in fresh.run(inputs).items()}
            for key, value in old.run(inputs).items():
                np.testing.assert_allclose(outputs[key], value, atol=1e-4)
        same = {"stages", "files", "schema_"}
        assert made.manifest.model_dump(exclude=same) == known.manifest.model_dump(exclude=same)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_shape_in_full_view_is_found_once_where_it_is(seed: int) -> None:
    worst = 1.0
    with (
        Model(shipped("shapes")) as model,
        Shapes("scene", VideoOptions(realtime=False, seed=seed)) as scene,
    ):
        for seq in range(0, 1800, 37):
            [answer] = model.predict([scene.render(seq)])
            assert isinstance(answer, Answer)
            found = [d for d in answer.predictions if isinstance(d, Detection)]
            for shape in scene.truth(seq):
                if shape.visible < 1:
                    continue
                mine = [d for d in found if d.label == shape.colour]
                overlap = iou(np.array([shape.box_px]), np.array([d.box for d in mine]).reshape(-1, 4))
                assert (overlap > 0.5).sum() == 1, (seq, shape, mine)
                worst = min(worst, float(overlap.max()))
            assert len(found) <= len(scene.truth(seq))
    assert worst >= 0.8


@pytest.mark.parametrize(("hertz", "label"), [(220, "low"), (880, "middle"), (3520, "high")])
def test_a_tone_is_heard_in_its_band(hertz: float, label: str, script: ModuleType) -> None:
    with Model(shipped("tones")) as model:
        [answer] = model.predict([script.tone(hertz)])
    assert isinstance(answer, Answer)
    [heard] = answer.predictions
    assert isinstance(heard, Label)
    assert heard.label == label


def test_near_silence_is_silence() -> None:
    noise = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * np.float32(1e-3)
    with Model(shipped("tones")) as model:
        [answer] = model.predict([noise])
    assert isinstance(answer, Answer)
    [heard] = answer.predictions
    assert isinstance(heard, Label)
    assert heard.label == "silence"
