"""May a plan serve? Only when it sees what ONNX Runtime sees."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from engines.engine import Array, TensorSpec
from engines.tensorrt.admission import Verdict, compare
from tests.engines import models

MANIFEST = models.manifest(
    "detect",
    models.pictures(64, 64),
    ("cat", "dog"),
    name="yolo-end2end",
    threshold=0.5,
)
OUTPUT = (TensorSpec("y", (1, 6, 6), np.dtype("f4")),)


def boxes() -> Array:
    """Six boxes, four of them above the threshold: left, top, right, bottom, score, class."""
    return np.array(
        [
            [
                [4, 4, 20, 20, 0.95, 0],
                [30, 8, 50, 30, 0.9, 1],
                [10, 40, 30, 60, 0.8, 0],
                [40, 40, 60, 60, 0.7, 1],
                [1, 1, 9, 9, 0.2, 0],
                [2, 2, 8, 8, 0.1, 1],
            ]
        ],
        np.float32,
    )


def judged(change: Callable[[Array], None], precision: str = "fp16") -> Verdict:
    found = boxes()
    change(found)
    return compare(MANIFEST, OUTPUT, [{"y": boxes()}], [{"y": found}], precision)


def a_little(found: Array) -> None:
    found[..., :4] += 0.2
    found[..., 4] += 0.003


def boxes_that_slipped(found: Array) -> None:
    found[0, 0, :4] += 1.6


def scores_that_are_gone(found: Array) -> None:
    """As a published plan had it: boxes right, scores next to nothing. The boxes hide it from a plain difference."""
    found[..., 4] *= 0.01


def another_class(found: Array) -> None:
    found[0, 1, 5] = 0


def not_a_number(found: Array) -> None:
    found[0, 5, 0] = np.nan


def noise(found: Array) -> None:
    found += np.random.default_rng(0).normal(0, 10, found.shape).astype(np.float32)


def test_what_is_off_by_a_little_is_admitted_and_the_drift_told() -> None:
    verdict = judged(a_little)
    assert verdict.admitted
    assert re.fullmatch(r"numbers within 0\.\d+%, (\d+) of \1 predictions alike, boxes within 0\.2\d px", verdict.words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (boxes_that_slipped, "8 of 10 predictions alike"),
        (scores_that_are_gone, "0 of 4 predictions alike"),
        (another_class, "8 of 10 predictions alike"),
        (not_a_number, "output y holds NaN or infinity"),
        (noise, "its numbers are off by"),
    ],
)
def test_what_sees_something_else_is_refused(change: Callable[[Array], None], words: str) -> None:
    verdict = judged(change)
    assert not verdict.admitted
    assert words in verdict.words


def test_eight_bits_may_be_off_by_more_than_sixteen() -> None:
    assert not judged(boxes_that_slipped, "fp16").admitted
    assert judged(boxes_that_slipped, "int8").admitted


def test_a_prediction_at_the_edge_of_the_threshold_may_be_on_either_side() -> None:
    expected, found = boxes(), boxes()
    expected[0, 3, 4], found[0, 3, 4] = 0.501, 0.499
    assert compare(MANIFEST, OUTPUT, [{"y": expected}], [{"y": found}], "fp16").admitted


def test_where_the_model_sees_nothing_its_weaker_guesses_are_compared() -> None:
    expected, found = boxes(), boxes()
    expected[..., 4] *= 0.3
    found[..., 4] *= 0.3
    assert "alike" in compare(MANIFEST, OUTPUT, [{"y": expected}], [{"y": found}], "fp16").words
    found[..., 5] = 1 - found[..., 5]
    assert not compare(MANIFEST, OUTPUT, [{"y": expected}], [{"y": found}], "fp16").admitted


def test_without_a_manifest_the_numbers_decide() -> None:
    assert compare(None, OUTPUT, [{"y": boxes()}], [{"y": boxes() * 1.01}], "fp16").words == "numbers within 1.00%"
    assert not compare(None, OUTPUT, [{"y": boxes()}], [{"y": boxes() * 1.1}], "fp16").admitted


def test_another_shape_is_refused() -> None:
    verdict = compare(None, OUTPUT, [{"y": boxes()}], [{"y": boxes()[:, :5]}], "fp32")
    assert verdict == Verdict(False, "output y has shape (1, 5, 6), expected (1, 6, 6)")
