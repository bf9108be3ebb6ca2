"""Seven-segment digits and dot matrices, drawn by us: no font, only geometry."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from digits.ink import Dice, Face, Glyph, Picture

_SHIFT = 4
"""Bits behind the point in OpenCV's coordinates."""
_FINE = 3
"""Masks are drawn so many times larger and shrunk."""

LIT = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")
"""Segments of each digit: a on top, then clockwise to f, g in the middle."""
TAILLESS = {6: "cdefg", 7: "abcf", 9: "abcfg"}
"""Other habits for some digits."""

DOTS = (
    "01110 10001 10011 10101 11001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00010 00100 01000 11111",
    "11111 00010 00100 00010 00001 10001 01110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)
"""5 by 7, the pattern of the common character displays."""


@dataclass(frozen=True, slots=True)
class SegmentShape:
    """Proportions, as shares of the height."""

    width: float
    thickness: float
    gap: float
    slant: float
    pointed: float
    """0: square ends; 1: ends that meet at 45 degrees."""
    habits: frozenset[int]
    """Digits of TAILLESS that are drawn that way."""

    @classmethod
    def thrown(cls, dice: Dice) -> SegmentShape:
        pointed = float(dice.choice([0.0, 0.5, 1.0]))
        return cls(
            width=dice.uniform(0.42, 0.68),
            # Thicker ones are so short between square ends that a 1 would be a colon.
            thickness=dice.uniform(0.07, 0.16 if pointed else 0.13),
            gap=dice.uniform(0.0, 0.03),
            slant=dice.choice([0.0, dice.uniform(0.0, 0.2)]),
            pointed=pointed,
            habits=frozenset(digit for digit, often in ((6, 0.12), (7, 0.2), (9, 0.12)) if dice.random() < often),
        )


class Segments:
    """A seven-segment display; characters are digits, `-` and, for segments that are off, `unlit`."""

    def __init__(self, shape: SegmentShape) -> None:
        self.shape = shape

    def glyph(self, character: str, height_px: int) -> Glyph | None:
        if character == "-":
            return self._drawn("g", height_px)
        if not character.isdigit():
            return None
        digit = int(character)
        return self._drawn(TAILLESS[digit] if digit in self.shape.habits else LIT[digit], height_px)

    def space(self, height_px: int) -> float:
        return self.shape.width * height_px

    def unlit(self, height_px: int) -> Picture:
        """All seven segments, untrimmed: as wide as the cell."""
        return self._cell("abcdefg", height_px)

    def _drawn(self, lit: str, height_px: int) -> Glyph:
        cell = self._cell(lit, height_px)
        x, y, width, height = cv2.boundingRect((cell > 0).astype(np.uint8))
        mask = np.ascontiguousarray(cell[y : y + height, x : x + width])
        return Glyph(mask, left=x, top=y, advance=cell.shape[1])

    def _cell(self, lit: str, height_px: int) -> Picture:
        shape = self.shape
        tall = height_px * _FINE
        wide = int(np.ceil((shape.width + shape.slant) * height_px)) * _FINE
        mask = np.zeros((tall, wide), np.uint8)
        for segment in lit:
            polygon = self._polygon(segment) * tall
            cv2.fillPoly(mask, [np.round(polygon * (1 << _SHIFT)).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
        return cv2.resize(mask, (wide // _FINE, height_px), interpolation=cv2.INTER_AREA)

    def _polygon(self, segment: str) -> np.ndarray:
        """(6, 2) as shares of the height, slanted."""
        shape = self.shape
        half, gap, w = shape.thickness / 2, shape.gap, shape.width
        tip = half * shape.pointed
        # Along the segment from `start` to `end`, across it from -half to half.
        middles = {"a": half, "g": 0.5, "d": 1 - half}
        if segment in middles:
            y, inset = middles[segment], half if shape.pointed else 0.0 if segment != "g" else 2 * half
            start, end = inset + gap, w - inset - gap
            points = [(start, y), (start + tip, y - half), (end - tip, y - half),
                      (end, y), (end - tip, y + half), (start + tip, y + half)]  # fmt: skip
        else:
            x = half if segment in "ef" else w - half
            top, bottom = (half, 0.5) if segment in "bf" else (0.5, 1 - half)
            start, end = top + half - tip + gap, bottom - half + tip - gap
            points = [(x, start), (x + half, start + tip), (x + half, end - tip),
                      (x, end), (x - half, end - tip), (x - half, start + tip)]  # fmt: skip
        polygon = np.array(points, np.float64)
        polygon[:, 0] += (1 - polygon[:, 1]) * shape.slant
        return polygon


@dataclass(frozen=True, slots=True)
class DotShape:
    """How the dots of a matrix look."""

    size: float
    """Share of the grid's step that a dot fills."""
    round: bool


class Dots:
    """A matrix of dots: our own 5 by 7 pattern, or another face rasterised as coarsely."""

    def __init__(self, shape: DotShape, rows: int = 7, pattern: Face | None = None) -> None:
        self.shape, self._rows, self._pattern = shape, rows, pattern

    def glyph(self, character: str, height_px: int) -> Glyph | None:
        grid = self._grid(character)
        if grid is None:
            return None
        step = max(2, round(height_px / len(grid) * _FINE))
        mask = np.zeros((grid.shape[0] * step, grid.shape[1] * step), np.uint8)
        reach = self.shape.size * step / 2
        for row, column in np.argwhere(grid):
            centre = np.array([column + 0.5, row + 0.5]) * step
            if self.shape.round:
                where = np.round(centre * (1 << _SHIFT)).astype(int)
                cv2.circle(mask, where.tolist(), round(reach * (1 << _SHIFT)), 255, -1, cv2.LINE_AA, _SHIFT)
            else:
                low, high = np.round(centre - reach).astype(int), np.round(centre + reach).astype(int)
                mask[low[1] : high[1], low[0] : high[0]] = 255
        scale = height_px / mask.shape[0]
        size = (max(1, round(mask.shape[1] * scale)), height_px)
        small = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
        return Glyph(small, left=0, top=0, advance=size[0] * (1 + 1 / grid.shape[1]))

    def space(self, height_px: int) -> float:
        return height_px * 0.5

    def _grid(self, character: str) -> np.ndarray | None:
        if self._pattern is not None:
            coarse = self._pattern.glyph(character, self._rows)
            return None if coarse is None or not character.isdigit() else coarse.mask >= 110
        if not character.isdigit():
            return None
        return np.array([[dot == "1" for dot in row] for row in DOTS[int(character)].split()])
