"""What is drawn: glyphs as masks, set into lines, and where the ink of every digit is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[Any]  # OpenCV does not say of which type its results are
"""uint8, (height, width, 3), BGR, or a mask (height, width)."""
Points = NDArray[np.float32]
"""(n, 2): x and y in pixels; whole numbers are the corners of pixels."""
Dice = np.random.Generator

DIGITS = "0123456789"
INKED = 96
"""A mask's pixel from this value on is ink."""


@dataclass(frozen=True, slots=True, eq=False)
class Glyph:
    """One character: its ink without empty borders, and where it stands on the line."""

    mask: Picture
    left: float
    """From the pen to the ink."""
    top: float
    """From the upper edge of a digit 0 to the ink; negative for what is taller."""
    advance: float
    """From this pen to the next."""


class Face(Protocol):
    """A way of drawing characters."""

    def glyph(self, character: str, height_px: int) -> Glyph | None:
        """`character`, in the size in which a 0 is `height_px` tall; None when the face has none (or it is a space)."""

    def space(self, height_px: int) -> float:
        """How far the pen goes for a character without ink."""


@dataclass(frozen=True, slots=True, eq=False)
class Mark:
    """A digit that is there to be read."""

    digit: int
    outline: Points
    """Convex hull of its ink."""

    def moved(self, x: float, y: float) -> Mark:
        return Mark(self.digit, self.outline + np.array([x, y], np.float32))

    def box(self) -> NDArray[np.float32]:
        """left, top, right, bottom."""
        return np.concatenate([self.outline.min(axis=0), self.outline.max(axis=0)])


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Characters beside one another."""

    mask: Picture
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plate:
    """A flat thing with digits on it, before a camera sees it."""

    style: str
    pixels: Picture
    cover: Picture
    """Mask: 255 where the plate hides what is behind it."""
    strings: tuple[tuple[Mark, ...], ...]
    """What a person would read out, each from left to right."""


def outline(mask: Picture, x: float = 0, y: float = 0) -> Points | None:
    """Convex hull of the ink of a mask that lies at (x, y); None without ink."""
    inked = (mask >= INKED).astype(np.uint8)
    if not inked.any():
        return None
    hull = cv2.convexHull(cv2.findNonZero(inked)).reshape(-1, 2).astype(np.float32)
    corners = np.concatenate([hull + np.array(offset, np.float32) for offset in ((0, 0), (1, 0), (0, 1), (1, 1))])
    return np.asarray(cv2.convexHull(corners).reshape(-1, 2) + np.array([x, y]), np.float32)


def set_line(
    face: Face, text: str, height_px: int, dice: Dice, *, spacing: float = 0.0, pitch: float = 0.0, wobble: float = 0.0
) -> Line:
    """`text` in `face`, digits marked.

    Lengths are shares of the height: `spacing` is added between characters, `pitch` is the distance of characters that
    all stand equally far apart (0: as the face has it), `wobble` is how unsteady the hand is.
    """
    pen, placed = 0.0, []
    for character in text:
        unsteady = dice.normal(0, wobble, 2) if wobble else (0.0, 0.0)
        size = max(6, round(height_px * (1 + unsteady[0])))
        glyph = face.glyph(character, size) if character != " " else None
        if glyph is None:
            pen += (pitch or 0) * height_px if pitch else face.space(height_px)
            continue
        x = pen + (pitch * height_px - glyph.mask.shape[1]) / 2 if pitch else pen + glyph.left
        placed.append((character, glyph.mask, round(x), round(glyph.top + unsteady[1] * height_px)))
        pen += pitch * height_px if pitch else glyph.advance + spacing * height_px
    return _joined(placed, height_px)


def _joined(placed: list[tuple[str, Picture, int, int]], height_px: int) -> Line:
    left = min((x for _, _, x, _ in placed), default=0)
    top = min([0, *(y for _, _, _, y in placed)])
    right = max((x + mask.shape[1] for _, mask, x, _ in placed), default=1)
    bottom = max([height_px, *(y + mask.shape[0] for _, mask, _, y in placed)])
    canvas = np.zeros((bottom - top, right - left), np.uint8)
    marks = []
    for character, mask, x, y in placed:
        place = canvas[y - top : y - top + mask.shape[0], x - left : x - left + mask.shape[1]]
        np.maximum(place, mask, out=place)
        hull = outline(mask, x - left, y - top) if character in DIGITS else None
        if hull is not None:
            marks.append(Mark(int(character), hull))
    return Line(canvas, tuple(marks))


def painted(pixels: Picture, mask: Picture, colour: Any, x: int = 0, y: int = 0, strength: float = 1.0) -> None:
    """Paint `colour` through a mask that lies at (x, y), in place; what lies outside is cut off."""
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + mask.shape[1], width), min(y + mask.shape[0], height)
    if x0 >= x1 or y0 >= y1:
        return
    share = mask[y0 - y : y1 - y, x0 - x : x1 - x, np.newaxis].astype(np.float32) * (strength / 255)
    place = pixels[y0:y1, x0:x1]
    place[:] = place + (np.asarray(colour, np.float32) - place) * share
