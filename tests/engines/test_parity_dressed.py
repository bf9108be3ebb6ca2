"""Masks, points, turned boxes and RT-DETR against Ultralytics: recorded answers for recorded network outputs.

scripts/train/make_parity_fixtures.py made the recordings.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engines.engine import Array, EngineError
from engines.manifest import Manifest
from engines.model import Model
from engines.placement import place
from engines.predictions import Detection
from engines.recognise import recognise
from tests import networks
from tests.engines.models import Scripted, bundle, manifest, model, only, pictures

RECORDED = Path(__file__).parent / "fixtures" / "parity"
LABELS = [f"kind {number}" for number in range(8)]
NUMBERS = (0, 1, 2)
PIXELS = 0.011
"""We round to 0.01 pixels."""
STRETCH = 0.002
"""Where both sides of a picture are shrunk to whole pixels the two scales differ by this share at most; Ultralytics
stretches the sides of a turned box by them as if it were upright, we stretch its corners."""


@cache
def recorded(name: str) -> dict[str, Any]:
    with np.load(RECORDED / f"{name}.npz") as arrays:
        return dict(arrays)


def described(name: str) -> Manifest:
    kind = "detr" if name == "rtdetr" else "yolo-" + name.split("-")[1]
    choices: dict[str, dict[str, Any]] = {
        "yolo-seg": {"output": "out", "protos": "protos", "coefficients": 8},
        "yolo-pose": {"points": 5, "values": 3},
        "yolo-obb": {},
        "detr": {"selected": True},
    }
    options = choices[kind]
    if name.endswith("end2end"):
        options["end2end"] = True
    nms_iou = None if name.endswith("end2end") or kind == "detr" else 0.45
    fit = "stretch" if kind == "detr" else "letterbox"
    return manifest(
        "detect", pictures(160, 160, fit=fit), LABELS, name=kind, threshold=0.25, nms_iou=nms_iou, options=options
    )


def answered(name: str, number: int) -> tuple[Detection, ...]:
    """What we make of the recorded outputs."""
    arrays = recorded(name)
    outputs = {"out": arrays[f"output_{number}"]}
    if f"protos_{number}" in arrays:
        outputs["protos"] = arrays[f"protos_{number}"]
    says = Scripted({"x": (1, 3, 160, 160)}, {key: value.shape for key, value in outputs.items()}, lambda _: outputs)
    with model(described(name), says) as ours:
        answer = only(ours.predict([recorded("pictures")[f"frame_{number}"]]))
    return tuple(answer.predictions)


def partners(ours: tuple[Detection, ...], name: str, number: int) -> list[tuple[Detection, int]]:
    """Each detection and its number among Ultralytics' answers: the same class and score, the nearest place."""
    arrays = recorded(name)
    scores, classes = arrays[f"scores_{number}"], arrays[f"classes_{number}"]
    places = arrays[f"boxes_{number}"] if f"boxes_{number}" in arrays else arrays[f"corners_{number}"].mean(axis=1)
    assert len(ours) == len(scores) > 5
    left = set(range(len(scores)))
    found = []
    for each in ours:
        at = np.array(each.box) if places.shape[1] == 4 else np.mean(each.corners or [], axis=0)
        alike = [n for n in left if classes[n] == each.class_id and abs(scores[n] - each.score) <= 1e-5]
        assert alike, f"{each} is not among them"
        best = min(alike, key=lambda n: float(np.abs(places[n] - at).max()))
        left.remove(best)
        found.append((each, best))
    return found


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", ["yolo11-pose", "yolo26-pose-end2end", "yolo11-seg", "yolo26-seg-end2end", "rtdetr"])
def test_boxes_are_ultralytics_own(name: str, number: int) -> None:
    boxes = recorded(name)[f"boxes_{number}"]
    height, width = recorded("pictures")[f"frame_{number}"].shape[:2]
    for ours, theirs in partners(answered(name, number), name, number):
        within = np.clip(boxes[theirs], 0, [width, height, width, height])  # RT-DETR's are not clipped there
        np.testing.assert_allclose(ours.box, within, atol=PIXELS)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", ["yolo11-pose", "yolo26-pose-end2end"])
def test_points_are_ultralytics_own(name: str, number: int) -> None:
    points = recorded(name)[f"points_{number}"]
    for ours, theirs in partners(answered(name, number), name, number):
        assert ours.pose is not None
        told = np.array([(point.x, point.y, point.score) for point in ours.pose.points])
        np.testing.assert_allclose(told, points[theirs], atol=PIXELS)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", ["yolo11-obb", "yolo26-obb-end2end"])
def test_turned_boxes_are_ultralytics_own(name: str, number: int) -> None:
    corners = recorded(name)[f"corners_{number}"]
    for ours, theirs in partners(answered(name, number), name, number):
        # The same four corners; which of them is the first is nobody's concern.
        distances = np.abs(np.array(ours.corners)[:, np.newaxis] - corners[theirs][np.newaxis]).max(axis=2)
        allowed = 2 * PIXELS + STRETCH * float(np.ptp(corners[theirs], axis=0).max())
        assert distances.min(axis=1).max() <= allowed
        assert distances.min(axis=0).max() <= allowed


def without_holes(mask: Array) -> Array:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.asarray(cv2.fillPoly(np.zeros_like(mask), contours, 1))


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("name", ["yolo11-seg", "yolo26-seg-end2end"])
def test_outlines_cover_ultralytics_masks(name: str, number: int) -> None:
    arrays = recorded(name)
    height, width = recorded("pictures")[f"frame_{number}"].shape[:2]
    where = place(pictures(160, 160), height, width)
    shared, either = 0, 0
    for ours, theirs in partners(answered(name, number), name, number):
        assert ours.mask is not None
        gain = np.array([where.width / width, where.height / height])
        outlines = [
            np.round(np.array(polygon) * gain + [where.left, where.top]).astype(np.int32)
            for polygon in ours.mask.polygons
        ]
        covered = cv2.fillPoly(np.zeros((160, 160), np.uint8), outlines, 1)
        mask = np.unpackbits(arrays[f"masks_{number}"][theirs], axis=1)[:, :160]
        mask[: where.top], mask[where.top + where.height :] = 0, 0
        mask[:, : where.left], mask[:, where.left + where.width :] = 0, 0
        expected = without_holes(mask)
        shared += int((covered & expected).sum())
        either += int((covered | expected).sum())
    assert shared / either > 0.95


# -- recognition ------------------------------------------------------------------------------------------------------

NAMES = str(dict(enumerate(LABELS)))
X = {"images": [1, 3, 160, 160]}


@pytest.mark.parametrize(
    ("outputs", "metadata", "decoder", "options"),
    [
        (
            {"output0": [1, 44, 525], "output1": [1, 32, 40, 40]},
            {"task": "segment"},
            "yolo-seg",
            {"output": "output0", "protos": "output1", "coefficients": 32},
        ),
        (
            {"output0": [1, 300, 38], "output1": [1, 32, 40, 40]},
            {"task": "segment", "end2end": "True"},
            "yolo-seg",
            {"output": "output0", "protos": "output1", "coefficients": 32, "end2end": True},
        ),
        (
            {"output0": [1, 63, 525]},
            {"task": "pose", "kpt_shape": "[17, 3]"},
            "yolo-pose",
            {"points": 17, "values": 3},
        ),
        ({"output0": [1, 13, 525]}, {"task": "obb"}, "yolo-obb", {}),
        ({"output0": [1, 300, 7]}, {"task": "obb", "end2end": "True"}, "yolo-obb", {"end2end": True}),
        ({"output0": [1, 300, 12]}, {"task": "detect", "head": "RTDETRDecoder"}, "detr", {}),
        ({"output0": [1, 300, 6]}, {"task": "detect", "head": "RTDETRDecoder"}, "detr", {"selected": True}),
        (
            {"logits": [1, 300, 8], "pred_boxes": [1, 300, 4]},
            {},
            "detr",
            {"boxes": "pred_boxes", "scores": "logits", "activation": "sigmoid"},
        ),
    ],
)
def test_what_exporters_write_is_recognised(
    tmp_path: Path, outputs: Any, metadata: dict[str, str], decoder: str, options: dict[str, Any]
) -> None:
    path = networks.answering(tmp_path / "it.onnx", X, outputs, metadata={"names": NAMES} | metadata)
    of = recognise(path)
    assert (of.task, of.decoder.name, of.decoder.options) == ("detect", decoder, options)
    assert of.labels == tuple(LABELS)
    assert (of.decoder.nms_iou is None) == (decoder == "detr" or options.get("end2end", False))
    with Model(bundle(of, path), engine="onnxruntime") as ours:
        ours.warm_up()


def test_pairs_of_boxes_and_scores_are_read_as_shares_of_the_picture() -> None:
    of = manifest(
        "detect",
        pictures(160, 160, fit="stretch"),
        LABELS,
        name="detr",
        options={"boxes": "b", "scores": "s", "activation": "sigmoid"},
    )
    scores = np.full((1, 2, 8), -9, np.float32)
    scores[0, 1, [2, 5]] = 3, 1
    outputs = {"b": np.array([[[0.1, 0.1, 0.2, 0.2], [0.5, 0.5, 0.5, 1.0]]], np.float32), "s": scores}
    says = Scripted({"x": (1, 3, 160, 160)}, {"b": (1, 2, 4), "s": (1, 2, 8)}, lambda _: outputs)
    with model(of, says) as ours:
        first, second = only(ours.predict([np.zeros((100, 400, 3), np.uint8)])).predictions
    assert (first.label, second.label) == ("kind 2", "kind 5")
    assert first.box == second.box == (100.0, 0.0, 300.0, 100.0)
    assert first.score == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("yolo-pose", {"points": 5}, "needs option values, a whole number"),
        ("yolo-pose", {"points": 5, "values": 4}, "expected 2 or 3"),
        ("yolo-seg", {"coefficients": 8}, "needs option protos"),
        ("yolo-seg", {"coefficients": 87, "protos": "nowhere"}, "reads output nowhere"),
        ("detr", {"boxes": "out"}, "needs option scores"),
        ("yolo-obb", {}, "does not fit the network"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(kind: str, options: dict[str, Any], words: str) -> None:
    of = manifest("detect", pictures(160, 160), LABELS, name=kind, options={"output": "out"} | options)
    says = Scripted({"x": (1, 3, 160, 160)}, {"out": (1, 99, 525)}, lambda _: {})
    with pytest.raises(EngineError, match=words), model(of, says):
        pass


def test_what_cannot_be_is_an_error_and_never_an_empty_answer() -> None:
    outputs = {"out": np.zeros((1, 27, 525), np.float32)}
    outputs["out"][0, 4, 0], outputs["out"][0, 20, 0] = 0.9, np.nan
    says = Scripted({"x": (1, 3, 160, 160)}, {"out": (1, 27, 525)}, lambda _: outputs)
    with model(described("yolo11-pose"), says) as ours:
        [answer] = ours.predict([np.zeros((20, 20, 3), np.uint8)])
    assert isinstance(answer, EngineError)
    assert "NaN" in str(answer)
