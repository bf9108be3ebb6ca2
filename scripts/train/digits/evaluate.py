"""How well a bundle reads scenes: through the appliance's own preparation, engine and decoder.

What was read of a string (the digits of one display, counter, or line of print) are the detections that count, as the
decoder says (from the bundle's threshold on, and from BESIDE of it on in a line with one that reaches it), whose centre
lies in the string's place (the rectangle around its digits, wider by a third of a digit's width at both ends and higher
by a quarter of its height), sorted by the x of their centre.

Digits read right: 1 less the edit distance (digits wrong, missing or too many) of what was read from what is there,
summed over all strings, divided by the number of digits there.

Strings read exactly: of all strings, the share whose digits are exactly right. A digit too many, too few or wrong makes
the string wrong, so long strings are wrong more often. It is what a user notices.

mAP50: mean over the ten digits of the average precision at an IoU of 0.5, every point of the curve (VOC 2010), of all
detections that score 0.01 or more. The box to be found is that of the ink, but not narrower than 0.4 of its height
(`wide` in scene.py): a person marks the place of a 1 rather than its stroke.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from digits.dataset import Dataset
from digits.scene import NARROWEST, String, wide
from engines.bundle import Bundle
from engines.decode.beside import beside
from engines.model import Model
from engines.predictions import Answer, Detection

BESIDE = 0.75
"""Share of the threshold that is enough for a digit beside a sure one. Chosen with the threshold's scenes and fonts."""
LOWEST = 0.01
MOST_STRAY = 0.3
"""False digits per picture without any that a threshold may let pass."""
THRESHOLDS = tuple(round(0.2 + 0.02 * step, 2) for step in range(26))


@dataclass(frozen=True, slots=True)
class Found:
    """One detection."""

    box: NDArray[np.float32]
    digit: int
    score: float


@dataclass(frozen=True, slots=True)
class Reading:
    """Of some strings."""

    digits: int
    strings: int
    mistakes: int
    """Edit distance, over all strings."""
    exact: int
    """Strings without any."""

    @property
    def digits_right(self) -> float:
        return 1 - self.mistakes / max(1, self.digits)

    @property
    def strings_right(self) -> float:
        return self.exact / max(1, self.strings)


@dataclass(frozen=True, slots=True)
class Scores:
    """Shares of 1."""

    reading: Reading
    map50: float
    by_style: dict[str, Reading]
    by_kind: dict[str, Reading]
    understood: float
    """Of the scenes: every string read right, and nothing found that is no digit."""
    stray: float
    """False digits per scene without any."""
    wrong: tuple[tuple[int, str, str], ...]
    """Scene, truth and what was read instead."""


def looked(bundle: Bundle, data: Dataset) -> list[list[Found]]:
    """Whatever the model believes at all about every scene."""
    with Model(bundle) as model:
        return [detections(model, pixels) for pixels in data.pixels]


def scored(everything: list[list[Found]], data: Dataset, threshold: float) -> Scores:
    """The accuracy on a data set of what was found there."""
    styles: dict[str, list[tuple[str, str]]] = defaultdict(list)
    kinds: dict[str, list[tuple[str, str]]] = defaultdict(list)
    wrong, stray, understood = [], [], []
    for number, strings in enumerate(data.strings):
        sure = _sure(everything[number], threshold)
        texts = [read(sure, string) for string in strings]
        for string, text in zip(strings, texts, strict=True):
            styles[string.style].append((string.digits, text))
            kinds[data.kinds[number]].append((string.digits, text))
            if text != string.digits:
                wrong.append((number, string.digits, text))
        if not strings:
            stray.append(len(sure))
        understood.append(_understood(sure, strings))
    return Scores(
        reading=_reading([each for style in styles.values() for each in style]),
        map50=map50(everything, [_marked(*data.digits(number)) for number in range(len(data.kinds))]),
        by_style={style: _reading(each) for style, each in sorted(styles.items())},
        by_kind={kind: _reading(each) for kind, each in sorted(kinds.items())},
        understood=float(np.mean(understood)),
        stray=float(np.mean(stray)) if stray else 0.0,
        wrong=tuple(wrong),
    )


def _marked(digits: NDArray[np.int64], boxes: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Digits with the boxes that a person would have marked."""
    return digits, wide(boxes, NARROWEST)


def _reading(pairs: list[tuple[str, str]]) -> Reading:
    """Of pairs of what is there and what was read."""
    mistakes = [edit_distance(there, told) for there, told in pairs]
    return Reading(sum(len(there) for there, _ in pairs), len(pairs), sum(mistakes), mistakes.count(0))


def edit_distance(one: str, other: str) -> int:
    """Characters to change, insert or delete, at least, to make one of the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for count, character in enumerate(one, 1):
        above, row = row, [count]
        for place, candidate in enumerate(other):
            row.append(min(row[-1] + 1, above[place + 1] + 1, above[place] + (character != candidate)))
    return row[-1]


def best_threshold(everything: list[list[Found]], data: Dataset) -> float:
    """With which most strings are read exactly, of those with at most MOST_STRAY (or of none but the highest).

    Too low reads what is no digit, too high misses digits.
    """

    def exact(threshold: float) -> int:
        sure = [_sure(found, threshold) for found in everything]
        return sum(
            read(found, string) == string.digits
            for found, strings in zip(sure, data.strings, strict=True)
            for string in strings
        )

    def stray(threshold: float) -> float:
        empty = [found for found, strings in zip(everything, data.strings, strict=True) if not strings]
        return sum(len(_sure(found, threshold)) for found in empty) / max(1, len(empty))

    allowed = [threshold for threshold in THRESHOLDS if stray(threshold) <= MOST_STRAY]
    return max(allowed or THRESHOLDS[-1:], key=exact)


def _sure(found: list[Found], threshold: float) -> list[Found]:
    """What counts of what was found, as in the bundle's decoder."""
    likely = [each for each in found if each.score >= threshold * BESIDE]
    if not likely:
        return []
    counts = beside(np.stack([each.box for each in likely]), np.array([each.score for each in likely]), threshold)
    return [each for each, counted in zip(likely, counts, strict=True) if counted]


def _understood(sure: list[Found], strings: tuple[String, ...]) -> bool:
    texts = [read(sure, string) for string in strings]
    return texts == [string.digits for string in strings] and sum(map(len, texts)) == len(sure)


def detections(model: Model, pixels: Any) -> list[Found]:
    """Whatever the model believes at all."""
    [answer] = model.predict([np.ascontiguousarray(pixels)], thresholds=[LOWEST])
    if not isinstance(answer, Answer):
        raise SystemExit(f"the model failed on a rendered scene: {answer}")
    return [
        Found(np.array(each.box, np.float32), each.class_id, each.score)
        for each in answer.predictions
        if isinstance(each, Detection)
    ]


def read(found: list[Found], string: String) -> str:
    """What was read at a string's place."""
    wide, tall = np.median(string.boxes[:, 2:] - string.boxes[:, :2], axis=0)
    low = string.boxes[:, :2].min(axis=0) - np.array([wide / 3, tall / 4])
    high = string.boxes[:, 2:].max(axis=0) + np.array([wide / 3, tall / 4])
    middles = [(each.box[:2] + each.box[2:]) / 2 for each in found]
    inside = [
        (float(middle[0]), each.digit)
        for middle, each in zip(middles, found, strict=True)
        if (middle >= low).all() and (middle <= high).all()
    ]
    return "".join(str(digit) for _, digit in sorted(inside))


def map50(found: list[list[Found]], truth: list[tuple[NDArray[np.int64], NDArray[np.float32]]]) -> float:
    """Mean average precision at an IoU of 0.5; see the head of this file."""
    return float(np.mean([_precision(digit, found, truth) for digit in range(10)]))


def _precision(
    digit: int, found: list[list[Found]], truth: list[tuple[NDArray[np.int64], NDArray[np.float32]]]
) -> float:
    wanted = [boxes[digits == digit] for digits, boxes in truth]
    taken = [np.zeros(len(boxes), bool) for boxes in wanted]
    ranked = sorted(
        ((each.score, scene, each.box) for scene, all_of in enumerate(found) for each in all_of if each.digit == digit),
        key=lambda candidate: -candidate[0],
    )
    right = np.zeros(len(ranked))
    for place, (_, scene, box) in enumerate(ranked):
        overlap = overlaps(box, wanted[scene])
        if len(overlap) and overlap.max() >= 0.5 and not taken[scene][overlap.argmax()]:
            taken[scene][overlap.argmax()] = True
            right[place] = 1
    recall = np.cumsum(right) / max(1, sum(map(len, wanted)))
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0) * best_from_here).sum())


def overlaps(box: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) IoU of one box with each of `boxes` (n, 4)."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = (high - low).clip(min=0).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / np.maximum(areas - shared, 1e-6))
