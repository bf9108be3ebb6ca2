"""Mean average precision: known cases, recorded answers of pycocotools, and pycocotools itself where it is there."""

from __future__ import annotations

import contextlib
import importlib
import io
from typing import Any

import numpy as np
import pytest

from engines.predictions import Detection
from engines.workbench.average_precision import Truth, average_precision

Pictures = list[tuple[list[Truth], list[Detection]]]
BOX = (10.0, 10.0, 30.0, 30.0)


def found(score: float, box: tuple[float, float, float, float] = BOX, label: str = "a") -> Detection:
    return Detection(label, 0, score, box)


@pytest.mark.parametrize(
    ("truths", "detections", "map50"),
    [
        ([Truth("a", BOX)], [found(0.9)], 1.0),
        ([Truth("a", BOX)], [], 0.0),
        ([Truth("a", BOX)], [found(0.9), found(0.8)], 1.0),  # the duplicate comes after recall is complete
        ([Truth("a", BOX)], [found(0.9, (50, 50, 60, 60)), found(0.8)], 0.5),
        ([Truth("a", BOX), Truth("a", (50, 50, 60, 60))], [found(0.9)], 51 / 101),
        ([Truth("a", BOX)], [found(0.9, label="b")], 0.0),
    ],
)
def test_simple_cases_come_out_as_counted_by_hand(
    truths: list[Truth], detections: list[Detection], map50: float
) -> None:
    assert average_precision([(truths, detections)]).map50 == pytest.approx(map50)


def test_a_box_that_is_a_little_off_counts_for_the_lower_shares_only() -> None:
    of = average_precision([([Truth("a", (0, 0, 100, 100))], [found(0.9, (0, 0, 100, 72))])])
    assert of.map50 == pytest.approx(1.0)
    assert of.map50_95 == pytest.approx(0.5)  # 0.50, 0.55, 0.60, 0.65, 0.70


def scenes(seed: int) -> Pictures:
    """Boxes of three classes, crowds among them, found more or less well."""
    random = np.random.default_rng(seed)
    pictures: Pictures = []
    for _ in range(30):
        truths, detections = [], []
        for _ in range(random.integers(0, 9)):
            corner, size = random.uniform(0, 500, 2), random.uniform(10, 120, 2)
            label = "abc"[random.integers(0, 3)]
            place: Any = (*corner.tolist(), *(corner + size).tolist())
            truths.append(Truth(label, place, crowd=bool(random.random() < 0.1)))
            for _ in range(random.integers(0, 4)):
                moved = corner + random.normal(0, 0.12, 2) * size
                grown = size * random.uniform(0.8, 1.2, 2)
                said = label if random.random() < 0.9 else "abc"[random.integers(0, 3)]
                box: Any = (*moved.tolist(), *(moved + grown).tolist())
                detections.append(Detection(said, 0, round(float(random.random()), 2), box))
        pictures.append((truths, detections))
    return pictures


RECORDED = {
    0: (0.49023162760077704, 0.1785964724439249),
    1: (0.4642246703152972, 0.17160152084340036),
    2: (0.4701259221905058, 0.17516240400065924),
    3: (0.570178704760945, 0.23592052586007872),
}
"""Seed: mAP50 and mAP50-95 of these scenes as pycocotools 2.0.11 computes them."""


@pytest.mark.parametrize("seed", RECORDED)
def test_the_same_as_pycocotools_computed(seed: int) -> None:
    of = average_precision(scenes(seed))
    assert (of.map50, of.map50_95) == pytest.approx(RECORDED[seed], abs=1e-9)


def by_pycocotools(pictures: Pictures) -> tuple[float, float]:
    coco = importlib.import_module("pycocotools.coco")
    cocoeval = importlib.import_module("pycocotools.cocoeval")

    def rectangle(box: tuple[float, float, float, float]) -> list[float]:
        return [box[0], box[1], box[2] - box[0], box[3] - box[1]]

    numbers = {"a": 1, "b": 2, "c": 3}
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, (truths, detections) in enumerate(pictures, start=1):
        for truth in truths:
            place = rectangle(truth.box)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": numbers[truth.label],
                    "bbox": place,
                    "area": place[2] * place[3],
                    "iscrowd": int(truth.crowd),
                }
            )
        for each in detections:
            place = rectangle(each.box)
            results.append({"image_id": image, "category_id": numbers[each.label], "bbox": place, "score": each.score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth_set = coco.COCO()
        truth_set.dataset = {
            "info": {},
            "images": [{"id": image} for image in range(1, len(pictures) + 1)],
            "annotations": annotations,
            "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        }
        truth_set.createIndex()
        evaluation = cocoeval.COCOeval(truth_set, truth_set.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[1]), float(evaluation.stats[0])


@pytest.mark.peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(6))
def test_the_same_as_pycocotools_computes(seed: int) -> None:
    pytest.importorskip("pycocotools", reason="pycocotools is not installed (and is not a dependency)")
    pictures = scenes(seed)
    of = average_precision(pictures)
    assert (of.map50, of.map50_95) == pytest.approx(by_pycocotools(pictures), abs=1e-9)
