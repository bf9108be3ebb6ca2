"""Non-maximum suppression against a plain one, over thousands of random sets of boxes."""

from __future__ import annotations

import numpy as np
import pytest

from engines.decode.nms import suppress
from tests.engines import references

CASES = 3000
NEAR = 1e-5
"""Where an overlap is this close to the limit, rounding may decide either way."""


def boxes(random: np.random.Generator, count: int, kind: str) -> np.ndarray:
    """float32 (count, 4): spread, crowded, on a coarse grid with many ties, or partly left of and above the input."""
    span = {"spread": 600, "crowded": 60, "grid": 8, "negative": 60}[kind]
    corner, size = random.uniform(0, span, (count, 2)), random.uniform(span / 20, span / 2, (count, 2))
    if kind == "grid":
        corner, size = np.floor(corner), np.floor(size) + 1
    if kind == "negative":
        corner -= 80
    return np.concatenate((corner, corner + size), axis=1).astype(np.float32)


def undecided(corners: np.ndarray, limit: float) -> bool:
    pairs = (references.iou(a, b) for i, a in enumerate(corners.tolist()) for b in corners[:i].tolist())
    return any(abs(overlap - limit) < NEAR for overlap in pairs)


@pytest.mark.parametrize("kind", ["spread", "crowded", "grid", "negative"])
@pytest.mark.parametrize("by_class", [True, False])
def test_the_same_boxes_stay_in_the_same_order_as_in_plain_suppression(kind: str, by_class: bool) -> None:
    random = np.random.default_rng(3)
    decided = 0
    for _ in range(CASES // 8):
        count = int(random.integers(1, 25))
        corners = boxes(random, count, kind)
        scores = random.uniform(0.01, 1, count).astype(np.float32)
        if kind == "grid":
            scores = np.round(scores, 1) + np.float32(0.05)
        classes = random.integers(0, 4, count)
        limit = float(random.choice([0.0, 0.3, 0.45, 0.7, 1.0]))
        if undecided(corners, limit):
            continue
        decided += 1
        found = [(int(c), float(s), tuple(b)) for c, s, b in zip(classes, scores, corners.tolist(), strict=True)]
        kept = suppress(corners, scores, classes if by_class else None, limit)
        assert [found[index] for index in kept] == references.nms(found, limit, by_class)
    assert decided > CASES // 16


def test_of_equal_scores_the_earlier_box_stays() -> None:
    corners = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [0, 1, 10, 11]], np.float32)
    assert suppress(corners, np.full(3, 0.5, np.float32), None, 0.5).tolist() == [0]


def test_an_overlap_of_exactly_the_limit_is_allowed() -> None:
    corners = np.array([[0, 0, 2, 1], [1, 0, 3, 1]], np.float32)  # they share one third
    scores = np.array([0.9, 0.8], np.float32)
    assert suppress(corners, scores, None, 1 / 3 + 1e-6).tolist() == [0, 1]
    assert suppress(corners, scores, None, 1 / 3 - 1e-6).tolist() == [0]


def test_the_same_box_of_another_class_stays() -> None:
    corners = np.array([[5, 5, 90, 90]] * 3, np.float32)
    scores = np.array([0.5, 0.9, 0.7], np.float32)
    assert suppress(corners, scores, np.array([79, 0, 79]), 0.45).tolist() == [1, 2]


def test_large_class_numbers_lose_no_precision() -> None:
    corners = np.array([[0, 0, 1, 1], [0.4, 0, 1.4, 1], [3000, 3000, 4000, 4000]], np.float32)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    # 0.6 of 1.4 overlap: 0.4286
    assert suppress(corners, scores, np.full(3, 99_999), 0.43).tolist() == [0, 1, 2]
    assert suppress(corners, scores, np.full(3, 99_999), 0.42).tolist() == [0, 2]


def test_no_boxes_are_no_boxes() -> None:
    nothing = np.empty((0, 4), np.float32)
    assert suppress(nothing, np.empty(0, np.float32), np.empty(0, np.intp), 0.5).tolist() == []
    assert suppress(nothing, np.empty(0, np.float32), None, 0.5).tolist() == []


def test_a_box_without_area_neither_suppresses_nor_crashes() -> None:
    corners = np.array([[5, 5, 5, 5], [0, 0, 10, 10], [9, 9, 3, 3]], np.float32)
    assert 1 in suppress(corners, np.array([0.9, 0.8, 0.7], np.float32), None, 0.5).tolist()
