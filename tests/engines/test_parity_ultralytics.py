"""The YOLO families against Ultralytics: recorded answers for recorded network outputs, and live where it is installed.

scripts/train/make_parity_fixtures.py made the recordings.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from engines.manifest import Manifest
from engines.model import Model
from engines.pictures import Pictures
from engines.predictions import Detection, Label
from engines.recognise import recognise
from tests.engines.models import Scripted, bundle, manifest, model, only, pictures

ROOT = Path(__file__).parent.parent.parent
RECORDED = Path(__file__).parent / "fixtures" / "parity"
LABELS = [f"kind {number}" for number in range(8)]
DETECTORS = {
    "yolov5u": "yolo-v8",
    "yolov8": "yolo-v8",
    "yolov9t": "yolo-v8",
    "yolov10-end2end": "yolo-end2end",
    "yolo11": "yolo-v8",
    "yolo26": "yolo-v8",
    "yolo26-end2end": "yolo-end2end",
}
CLASSIFIER = "yolo11-cls"
PICTURES = (0, 1, 2)

BOX_PX, SCORE = 0.01, 1e-5
"""We round boxes to 0.01 pixels and scores to five digits; beyond that there is nothing to differ in."""


@cache
def recorded(name: str) -> dict[str, Any]:
    with np.load(RECORDED / f"{name}.npz") as arrays:
        return dict(arrays)


def detector(decoder: str) -> Manifest:
    nms_iou = 0.45 if decoder == "yolo-v8" else None
    return manifest("detect", pictures(160, 160), LABELS, name=decoder, threshold=0.25, nms_iou=nms_iou)


def classifier() -> Manifest:
    return manifest("classify", pictures(64, 64, fit="center-crop"), LABELS, name="classify", threshold=0)


def assert_same(
    ours: tuple[Detection, ...], boxes: Any, scores: Any, classes: Any, box_px: float, score: float
) -> None:
    """Every box has its partner of the same class; the order among equal scores is nobody's concern."""
    assert len(ours) == len(scores)
    left = list(range(len(scores)))
    for each in ours:
        distances = {n: float(np.abs(boxes[n] - each.box).max()) for n in left if classes[n] == each.class_id}
        assert distances, f"{each} is not among them"
        nearest = min(distances, key=lambda n: (distances[n], abs(scores[n] - each.score)))
        assert distances[nearest] <= box_px
        assert abs(scores[nearest] - each.score) <= score
        left.remove(nearest)


@pytest.mark.parametrize("number", PICTURES)
@pytest.mark.parametrize("name", DETECTORS)
def test_of_the_same_output_ultralytics_and_we_make_the_same_boxes(name: str, number: int) -> None:
    arrays = recorded(name)
    output = arrays[f"output_{number}"]
    says = Scripted({"x": (1, 3, 160, 160)}, {"out": output.shape}, lambda _: {"out": output})
    with model(detector(DETECTORS[name]), says) as ours:
        answer = only(ours.predict([recorded("pictures")[f"frame_{number}"]]))
    boxes, scores, classes = (arrays[f"{what}_{number}"] for what in ("boxes", "scores", "classes"))
    assert len(boxes) > 5
    assert_same(answer.predictions, boxes, scores, classes, BOX_PX, SCORE)


@pytest.mark.parametrize("number", PICTURES)
def test_of_the_same_output_ultralytics_and_we_make_the_same_labels(number: int) -> None:
    arrays = recorded(CLASSIFIER)
    output = arrays[f"output_{number}"]
    says = Scripted({"x": (1, 3, 64, 64)}, {"out": output.shape}, lambda _: {"out": output})
    with model(classifier(), says) as ours:
        answer = only(ours.predict([recorded("pictures")[f"frame_{number}"]]))
    assert [each.class_id for each in answer.predictions] == arrays[f"classes_{number}"].tolist()
    np.testing.assert_allclose([each.score for each in answer.predictions], arrays[f"scores_{number}"], atol=SCORE)


@pytest.mark.parametrize("number", PICTURES)
def test_detectors_see_exactly_what_ultralytics_shows_them(number: int) -> None:
    inputs = Pictures(pictures(160, 160), rows=1)
    inputs.put(0, recorded("pictures")[f"frame_{number}"])
    expected = recorded("pictures")[f"letterbox_{number}"].astype(np.float32) / np.float32(255)
    np.testing.assert_array_equal(inputs.tensors(1)["x"][0], expected)


@pytest.mark.parametrize("number", PICTURES)
def test_classifiers_see_what_ultralytics_shows_them_up_to_one_grey_level(number: int) -> None:
    inputs = Pictures(pictures(64, 64, fit="center-crop", dtype="uint8", scale=(1, 1, 1)), rows=1)
    inputs.put(0, recorded("pictures")[f"frame_{number}"])
    difference = np.abs(inputs.tensors(1)["x"][0].astype(int) - recorded("pictures")[f"crop_{number}"])
    assert difference.max() <= 1
    assert difference.mean() < 0.3


# -- live -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """The script that made the recordings; the test is skipped where Ultralytics is not installed."""
    pytest.importorskip("ultralytics", reason="Ultralytics is not installed (and is not a dependency)")
    path = ROOT / "scripts" / "train" / "make_parity_fixtures.py"
    spec = importlib.util.spec_from_file_location("make_parity_fixtures", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")  # of the exporter
@pytest.mark.parametrize("name", DETECTORS)
def test_of_the_same_file_ultralytics_and_we_make_the_same_boxes(maker: ModuleType, tmp_path: Path, name: str) -> None:
    path = maker.export(name, tmp_path)
    of = recognise(path)
    assert of.decoder.name == DETECTORS[name]
    if of.decoder.nms_iou is not None:
        of = of.model_copy(update={"decoder": of.decoder.model_copy(update={"nms_iou": maker.IOU})})
    theirs = maker.peer(path, "detect")
    with Model(bundle(of, path), engine="onnxruntime", threads=1) as ours:
        for frame in maker.frames():
            answer = only(ours.predict([frame], thresholds=[maker.CONFIDENCE]))
            boxes, scores, classes = maker.found_by(theirs, frame)
            assert_same(answer.predictions, boxes, scores, classes, box_px=0.5, score=1e-3)


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")  # of the exporter
def test_of_the_same_file_ultralytics_and_we_make_the_same_labels(maker: ModuleType, tmp_path: Path) -> None:
    path = maker.export(CLASSIFIER, tmp_path)
    theirs = maker.peer(path, "classify")
    with Model(bundle(recognise(path), path), engine="onnxruntime", threads=1) as ours:
        for frame in maker.frames():
            answer = only(ours.predict([frame], thresholds=[0.0]))
            found = [each for each in answer.predictions if isinstance(each, Label)]
            classes, scores = maker.classes_by(theirs, frame)
            assert [each.class_id for each in found] == classes.tolist()
            # A grey level of difference in the resized picture is worth this much to a random network.
            np.testing.assert_allclose([each.score for each in found], scores, atol=5e-3)
