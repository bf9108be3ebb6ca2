"""Less sure boxes beside surer ones: a line of digits is read, and what stands alone is not."""

from __future__ import annotations

import numpy as np
import pytest

from engines.decode.beside import beside
from tests.engines.test_decode_boxes import decode, model, yolo_v8

THRESHOLD = 0.6


def counted(*boxes: tuple[float, float, float, float, float]) -> list[bool]:
    """Of boxes given as left, top, right, bottom, score."""
    rows = np.array(boxes)
    return [bool(each) for each in beside(rows[:, :4], rows[:, 4], THRESHOLD)]


SURE = (100, 100, 120, 140, 0.9)


@pytest.mark.parametrize(
    ("other", "counts"),
    [
        ((124, 100, 144, 140, 0.5), True),
        ((76, 102, 96, 142, 0.5), True),
        ((166, 100, 186, 140, 0.5), True),  # a blank place between
        ((190, 100, 210, 140, 0.5), False),  # too far
        ((124, 130, 144, 170, 0.5), False),  # another line
        ((124, 100, 152, 158, 0.5), False),  # larger writing
        ((124, 112, 132, 128, 0.5), False),  # smaller writing
        ((300, 300, 320, 340, 0.6), True),  # sure itself
    ],
)
def test_a_neighbour_is_alike_in_line_and_near(other: tuple[float, float, float, float, float], counts: bool) -> None:
    assert counted(SURE, other) == [True, counts]
    assert counted(other, SURE) == [counts, True]


def test_a_line_is_followed_to_its_end() -> None:
    line = [(100.0 + 24 * place, 100.0, 120.0 + 24 * place, 140.0, 0.5) for place in range(8)]
    assert counted(*line) == [False] * 8
    assert counted(*line[:7], (*line[7][:4], 0.7)) == [True] * 8


def test_nothing_counts_where_nothing_is_sure() -> None:
    assert beside(np.zeros((0, 4)), np.zeros(0), THRESHOLD).tolist() == []
    assert counted((0, 0, 10, 10, 0.5), (12, 0, 22, 10, 0.59)) == [False, False]


@pytest.mark.parametrize("seed", range(50))
def test_what_is_sure_always_counts_and_the_order_does_not_matter(seed: int) -> None:
    dice = np.random.default_rng(seed)
    low = dice.uniform(0, 100, (12, 2))
    corners, scores = np.hstack([low, low + dice.uniform(5, 30, (12, 2))]), dice.uniform(0.3, 0.8, 12)
    found = beside(corners, scores, THRESHOLD)
    assert found[scores >= THRESHOLD].all()
    assert beside(corners[::-1], scores[::-1], THRESHOLD)[::-1].tolist() == found.tolist()


def test_a_decoder_that_is_told_to_looks_beside_sure_boxes() -> None:
    rows = yolo_v8([60, 160, 20, 40, 0.9, 0, 0], [84, 160, 20, 40, 0, 0.5, 0], [250, 200, 20, 40, 0, 0, 0.5])
    told = decode(model("yolo-v8", options={"beside": 0.75}), rows, threshold=0.6)
    assert [each.label for each in told] == ["car", "cat"]
    assert [each.label for each in decode(model("yolo-v8"), rows, threshold=0.6)] == ["car"]
    assert [each.label for each in decode(model("yolo-v8", options={"beside": 0.9}), rows, threshold=0.6)] == ["car"]


@pytest.mark.parametrize(("label", "expected"), [("cat", []), ("car", [0.9]), ("cup", [0.5])])
def test_labels_asked_for_change_nothing_of_what_is_found(label: str, expected: list[float]) -> None:
    """A cat, less sure, in the place of a car, and a cup that is believed because it lies beside the car."""
    rows = yolo_v8([60, 160, 20, 40, 0.9, 0, 0], [60, 160, 20, 40, 0, 0.7, 0], [84, 160, 20, 40, 0, 0, 0.5])
    reading = model("yolo-v8", class_aware=False, options={"beside": 0.75})
    assert [each.score for each in decode(reading, rows, threshold=0.6)] == [0.9, 0.5]
    assert [each.score for each in decode(reading, rows, threshold=0.6, labels=frozenset({label}))] == expected
