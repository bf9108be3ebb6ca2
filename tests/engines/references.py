"""What the engines compute, once more: slowly, obviously, and from the descriptions rather than from our code."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
Box = tuple[float, float, float, float]
Found = tuple[int, float, Box]
"""Class, score, left top right bottom."""


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes; 0 where that is 0 / 0."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area_a + area_b - width * height)


def nms(found: Sequence[Found], limit: float, by_class: bool = True) -> list[Found]:
    """Best first; of equal scores the earlier first."""
    left = sorted(found, key=lambda each: -each[1])
    kept: list[Found] = []
    for candidate in left:
        rivals = [other for other in kept if other[0] == candidate[0] or not by_class]
        if all(iou(candidate[2], other[2]) <= limit for other in rivals):
            kept.append(candidate)
    return kept


def clip(box: Sequence[float], width: int, height: int) -> Box:
    x1, y1, x2, y2 = box
    return (min(max(x1, 0), width), min(max(y1, 0), height), min(max(x2, 0), width), min(max(y2, 0), height))


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def fastestdet(output: Floats, width: int, height: int, threshold: float) -> list[Found]:
    """The grid of FastestDet, (1, 5 + classes, rows, columns), for a picture of width x height."""
    grid = output[0].astype(np.float64)
    rows, columns = grid.shape[1:]
    found: list[Found] = []
    for row in range(rows):
        for column in range(columns):
            cell = grid[:, row, column]
            if float(cell[0]) ** 0.6 < threshold:
                continue  # no probability of a class exceeds 1
            best = max(range(len(cell) - 5), key=lambda number: float(cell[5 + number]))
            score = float(cell[0]) ** 0.6 * float(cell[5 + best]) ** 0.4
            if score < threshold:
                continue
            x = (column + math.tanh(cell[1])) / columns * width
            y = (row + math.tanh(cell[2])) / rows * height
            w, h = sigmoid(cell[3]) * width, sigmoid(cell[4]) * height
            found.append((best, score, (x - w / 2, y - h / 2, x + w / 2, y + h / 2)))
    return [(number, score, clip(box, width, height)) for number, score, box in nms(found, 0.45)]


def ultraface(scores: Floats, boxes: Floats, width: int, height: int, threshold: float) -> list[Found]:
    """Priors of UltraFace: scores (1, n, 2) of nothing and face, boxes (1, n, 4) as shares of the picture."""
    found: list[Found] = []
    for prior in range(scores.shape[1]):
        score = float(scores[0, prior, 1])
        if score >= threshold:
            x1, y1, x2, y2 = (float(side) for side in boxes[0, prior])
            found.append((0, score, (x1 * width, y1 * height, x2 * width, y2 * height)))
    return [(number, score, clip(box, width, height)) for number, score, box in nms(found, 0.3)]


def yolo_v5(output: Floats, threshold: float, limit: float) -> list[Found]:
    """Rows of centre, size, objectness, classes, in pixels of the input; nothing is mapped back."""
    found: list[Found] = []
    for row in output[0].astype(np.float64):
        best = int(np.argmax(row[5:]))
        score = float(row[4] * row[5 + best])
        if score >= threshold:
            x, y, w, h = row[:4]
            found.append((best, score, (x - w / 2, y - h / 2, x + w / 2, y + h / 2)))
    return nms(found, limit)


def speech_segments(
    probabilities: Sequence[float],
    length: int,
    *,
    threshold: float = 0.5,
    close: float = 0.35,
    rate: int = 16_000,
    window: int = 512,
    min_speech_ms: float = 250,
    min_silence_ms: float = 100,
    pad_ms: float = 30,
) -> list[tuple[int, int]]:
    """Silero's offline rules on all probabilities of a recording of `length` samples; start and end in samples."""
    spans: list[list[int]] = []
    start: int | None = None
    quiet: int | None = None
    for number, probability in enumerate(probabilities):
        at = number * window
        if probability >= threshold:
            quiet = None
            start = at if start is None else start
        elif probability < close and start is not None:
            quiet = at if quiet is None else quiet
            if at - quiet >= rate * min_silence_ms / 1000:
                spans.append([start, quiet])
                start = quiet = None
    if start is not None:
        spans.append([start, length])
    spans = [span for span in spans if span[1] - span[0] > rate * min_speech_ms / 1000]
    pad = int(rate * pad_ms / 1000)
    for before, after in itertools.pairwise(spans):
        gap = after[0] - before[1]
        before[1] += min(pad, gap // 2)
        after[0] -= min(pad, gap // 2)
    if spans:
        spans[0][0] = max(0, spans[0][0] - pad)
        spans[-1][1] = min(length, spans[-1][1] + pad)
    return [(first, last) for first, last in spans]


def match(ours: Sequence[Found], theirs: Sequence[Found]) -> tuple[float, float]:
    """Pair every box with the best of the same class, both ways one to one: worst IoU and worst score difference."""
    assert len(ours) == len(theirs), f"{len(ours)} boxes, expected {len(theirs)}"
    left = list(theirs)
    worst_iou, worst_score = 1.0, 0.0
    for number, score, box in ours:
        partner = max((each for each in left if each[0] == number), key=lambda each: iou(box, each[2]), default=None)
        assert partner is not None, f"class {number} is found {score:.3f} at {box} and should not be there"
        left.remove(partner)
        worst_iou = min(worst_iou, iou(box, partner[2]))
        worst_score = max(worst_score, abs(score - partner[1]))
    return worst_iou, worst_score
