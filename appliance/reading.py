"""From boxes with a digit each to the numbers that a person would read out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]

FARTHEST = 1.0
"""Gap between two digits of one number, as a share of their height."""
SETTLED_S, GONE_S = 0.6, 1.0
"""A number is believed once it was read for so long; it is news again after it was gone for so long."""


def read_out(digits: Iterable[tuple[str, Box]]) -> list[str]:
    """Digits that stand beside each other, joined from left to right; the numbers from the top, then from the left."""
    lines: list[list[tuple[str, Box]]] = []
    for digit, box in sorted(digits, key=lambda each: each[1][0] + each[1][2]):
        near = [line for line in lines if _beside(line[-1][1], box)]
        if near:
            min(near, key=lambda line: box[0] - line[-1][1][2]).append((digit, box))
        else:
            lines.append([(digit, box)])
    return ["".join(digit for digit, _ in line) for row in _rows(lines) for line in row]


def _beside(left: Box, right: Box) -> bool:
    """Whether two digits are neighbours in one number: on one height, of like size, and not far apart."""
    tall, other = left[3] - left[1], right[3] - right[1]
    shared = min(left[3], right[3]) - max(left[1], right[1])
    return shared >= 0.5 * max(tall, other) and right[0] - left[2] <= FARTHEST * (tall + other) / 2


def _rows(lines: Sequence[list[tuple[str, Box]]]) -> list[list[list[tuple[str, Box]]]]:
    """Lines on about one height together, from the left."""
    rows: list[list[list[tuple[str, Box]]]] = []
    for line in sorted(lines, key=lambda each: each[0][1][1] + each[0][1][3]):
        first = rows[-1][0][0][1] if rows else None
        if first is not None and line[0][1][1] < (first[1] + first[3]) / 2:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line[0][1][0]) for row in rows]


@dataclass(slots=True)
class _Seen:
    since_s: float
    last_s: float
    told: bool = False


class Settled:
    """Numbers that stay for a moment, each told once: neither what a counter shows while it turns, nor a slip."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def news(self, read: Iterable[str], now_s: float) -> list[str]:
        """What has just settled of what is read now; `now_s` must not go back."""
        told = []
        self._seen = {number: seen for number, seen in self._seen.items() if now_s - seen.last_s < GONE_S}
        for number in read:
            seen = self._seen.setdefault(number, _Seen(now_s, now_s))
            seen.last_s = now_s
            if not seen.told and now_s - seen.since_s >= SETTLED_S:
                seen.told = True
                told.append(number)
        return told
