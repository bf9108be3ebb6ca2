"""A picture with digits as a camera sees it, in the size of the network's input, and what there is to be read."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.camera import seen
from digits.ink import Dice, Mark, Picture, Plate
from digits.kit import Kit
from digits.plates import plate
from digits.surfaces import clutter, surface, words

SIDE = 320
"""Of the square picture, and of the network's input."""
PAD = 114
"""Grey of what the scene's proportions leave empty: the appliance pads with the same."""
SMALLEST_PX = 12.0
"""A digit less tall, in the picture as it was taken, is not expected to be read."""
NARROWEST = 0.4
"""Width of the box that is asked for in the end, in shares of its height, at least; see `wide`."""

KINDS = {"single": 0.2, "strip": 0.35, "view": 0.35, "nothing": 0.1}
STYLE_WEIGHTS = {
    "print": 0.26, "hand": 0.08, "licence": 0.07, "segments": 0.25, "dots": 0.09, "scale": 0.03, "drums": 0.22,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class String:
    """Digits that a person would read out together."""

    style: str
    digits: str
    boxes: NDArray[np.float32]
    """(n, 4): left, top, right, bottom of each digit's ink in the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What the network gets, and what it should say."""

    kind: str
    pixels: Picture
    """(SIDE, SIDE, 3)."""
    content: tuple[int, int, int, int]
    """Left, top, right, bottom of what is not padding."""
    strings: tuple[String, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    style: str
    strings: tuple[tuple[Mark, ...], ...]


def render(kit: Kit, dice: Dice, styles: dict[str, float] | None = None) -> Scene:
    """One scene; `styles`: how often each is wanted (default: STYLE_WEIGHTS)."""
    weights = styles or (STYLE_WEIGHTS if kit.fonts else {"segments": 0.7, "dots": 0.3})
    kind = str(dice.choice(list(KINDS), p=list(KINDS.values())))
    shares = np.array(list(weights.values())) / sum(weights.values())

    def style() -> str:
        return str(dice.choice(list(weights), p=shares))

    if kind == "view":
        picture, placed = _view(kit, dice, [style() for _ in range(int(dice.choice([1, 1, 2, 3])))])
    elif kind == "nothing":
        picture, placed = _background(*_view_size(dice), kit, dice), []
    else:
        picture, placed = _crop(kit, dice, style(), single=kind == "single")
    boxes = [mark.box() for each in placed for string in each.strings for mark in string]
    return _framed(kind, seen(picture, dice, np.array(boxes, np.float32).reshape(-1, 4)), placed)


def _view_size(dice: Dice) -> tuple[int, int]:
    """Height and width of a picture in which digits are one thing among others."""
    longer = SIDE if dice.random() < 0.6 else int(dice.integers(SIDE * 5 // 8, SIDE))
    shorter = int(longer * dice.choice([9 / 16, 3 / 4, 1.0, dice.uniform(0.5, 1)]))
    return (shorter, longer) if dice.random() < 0.75 else (longer, shorter)


def _background(height: int, width: int, kit: Kit, dice: Dice) -> Picture:
    picture = surface(height, width, dice)
    clutter(picture, dice, int(dice.integers(0, 14)))
    if kit.fonts and dice.random() < 0.6:
        words(picture, kit.text(dice), dice, int(dice.integers(1, 7)))
    return picture


def _view(kit: Kit, dice: Dice, styles: list[str]) -> tuple[Picture, list[Placed]]:
    """One to three plates somewhere in a picture."""
    height, width = _view_size(dice)
    picture = _background(height, width, kit, dice)
    taken = np.zeros((height, width), np.uint8)
    placed = []
    for style in styles:
        tall = float(np.exp(dice.uniform(np.log(1.1 * SMALLEST_PX), np.log(0.42 * height))))
        made = plate(style, kit, dice, max(12, round(tall * 1.15)))
        drawn = _drawn_height(made)
        if not made.strings or drawn is None:
            continue
        share = min(tall / drawn, 0.92 * width / made.pixels.shape[1], 0.92 * height / made.pixels.shape[0])
        if share * drawn < SMALLEST_PX:
            continue
        for _ in range(5):
            turn = homography(made, share, dice, (height, width))
            result = stuck(picture, taken, made, turn)
            if result is not None:
                placed.append(result)
                break
    return picture, placed


def _drawn_height(made: Plate) -> float | None:
    tall = [float(np.ptp(mark.outline[:, 1])) for string in made.strings for mark in string]
    return min(tall) if tall else None


def homography(made: Plate, share: float, dice: Dice, size: tuple[int, int]) -> NDArray[np.float64]:
    """From the plate to the picture: smaller or larger, turned a little, seen from the side, anywhere."""
    height, width = made.pixels.shape[0] * share, made.pixels.shape[1] * share
    corners = _tilted(np.array([[0, 0], [width, 0], [width, height], [0, height]]), dice, min(height, width))
    corners -= corners.min(axis=0)
    room = np.array([size[1], size[0]]) - corners.max(axis=0)
    corners += dice.uniform(np.minimum(0, room), np.maximum(room, 0.1))
    return _between(made.pixels.shape[:2], corners)


def _tilted(corners: NDArray[np.float64], dice: Dice, reach: float) -> NDArray[np.float64]:
    angle = np.radians(dice.normal(0, 3.5) if dice.random() < 0.85 else dice.uniform(-18, 18))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    centre = corners.mean(axis=0)
    jitter = dice.normal(0, dice.choice([0.0, 0.03, 0.08]) * reach, (4, 2))
    return np.asarray((corners - centre) @ turn + centre + jitter)


def _between(shape: tuple[int, ...], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    height, width = shape[:2]
    flat = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return np.asarray(cv2.getPerspectiveTransform(flat, corners.astype(np.float32)))


def stuck(picture: Picture, taken: Picture | None, made: Plate, turn: NDArray[np.float64]) -> Placed | None:
    """Draw the plate into the picture; None where it would hide another or lose a digit at the edge."""
    height, width = picture.shape[:2]
    strings = _turned(made, turn)
    points = np.concatenate([mark.outline for string in strings for mark in string])
    if points.min() < 0 or points[:, 0].max() > width or points[:, 1].max() > height:
        return None
    # Pixel centres: OpenCV's whole numbers are our halves.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(half) @ turn @ half
    cover = cv2.warpPerspective(made.cover, matrix, (width, height), flags=cv2.INTER_LINEAR)
    if taken is not None:
        if (taken & cover).any():
            return None
        np.maximum(taken, cover, out=taken)
    pixels = cv2.warpPerspective(
        made.pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    share = cover[..., np.newaxis].astype(np.float32) / 255
    picture[:] = picture + (pixels.astype(np.float32) - picture) * share
    return Placed(made.style, strings)


def _turned(made: Plate, turn: NDArray[np.float64]) -> tuple[tuple[Mark, ...], ...]:
    return tuple(
        tuple(Mark(mark.digit, cv2.perspectiveTransform(mark.outline[np.newaxis], turn)[0]) for mark in string)
        for string in made.strings
    )


def _crop(kit: Kit, dice: Dice, style: str, *, single: bool) -> tuple[Picture, list[Placed]]:
    """A picture cut tightly around one digit or one plate's digits."""
    longer = float(np.exp(dice.uniform(np.log(26 if single else 100), np.log(SIDE))))
    for _ in range(20):
        among = single and style != "scale" and dice.random() < 0.5
        most = 8 if among or not single else 1
        guess = longer * 0.8 if single else longer / 6
        made = plate("print" if single and style == "scale" else style, kit, dice, int(np.clip(guess, 14, 260)), most)
        if not made.strings or (single and (len(made.strings) > 1 or (len(made.strings[0]) > 1 and not among))):
            continue
        made, room = _alone(made, dice) if among else (made, np.full((2, 2), np.inf))
        result = _cut(made, room, kit, dice, longer)
        if result is not None:
            return result
    return _background(*_view_size(dice), kit, dice), []


def _alone(made: Plate, dice: Dice) -> tuple[Plate, NDArray[np.float64]]:
    """One digit of a string, and how far a picture of it reaches to the left and right: to a rim of its neighbours."""
    marks = sorted(made.strings[0], key=lambda mark: float(mark.box()[0]))
    which = int(dice.integers(len(marks)))
    left, _, right, _ = marks[which].box().tolist()
    room = np.full((2, 2), np.inf)
    rim = 0.15 * (right - left)
    if which:
        room[0, 0] = max(0.5, left - float(marks[which - 1].box()[2]) + rim)
    if which + 1 < len(marks):
        room[1, 0] = max(0.5, float(marks[which + 1].box()[0]) - right + rim)
    return Plate(made.style, made.pixels, made.cover, ((marks[which],),)), room


def _cut(
    made: Plate, room: NDArray[np.float64], kit: Kit, dice: Dice, longer: float
) -> tuple[Picture, list[Placed]] | None:
    """The picture whose longer side is `longer` pixels; None when a digit would be too small or cut off.

    `room`: how many pixels of the plate it may reach beyond the digits: left and up, right and down.
    """
    points = np.concatenate([mark.outline for string in made.strings for mark in string])
    low, high = points.min(axis=0), points.max(axis=0)
    tall = float(_drawn_height(made) or 1)
    margins = np.minimum(dice.uniform(0.02, dice.choice([0.15, 0.6, 1.2]), (2, 2)) * tall, room)
    low, high = low - margins[0], high + margins[1]
    share = longer / float((high - low).max())
    if share * tall < SMALLEST_PX:
        return None
    width, height = np.maximum(8, np.round((high - low) * share)).astype(int).tolist()
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * np.array(made.pixels.shape[1::-1]) * share - low * share
    corners = _tilted(corners, dice, min(height, width) * 0.7)
    picture = _background(height, width, kit, dice)
    turn = _between(made.pixels.shape, corners)
    if share < 0.6:  # shrinking needs every pixel, which a warp does not look at
        blur = 0.4 / share
        made = Plate(made.style, cv2.GaussianBlur(made.pixels, (0, 0), blur), made.cover, made.strings)
    placed = stuck(picture, None, made, turn)
    return None if placed is None else (picture, [placed])


def _framed(kind: str, picture: Picture, placed: list[Placed]) -> Scene:
    """Fit the picture into the square, its proportions kept."""
    height, width = picture.shape[:2]
    share = SIDE / max(height, width)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    x, y = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    pixels = np.full((SIDE, SIDE, 3), PAD, np.uint8)
    pixels[y : y + size[1], x : x + size[0]] = small
    strings = []
    for each in placed:
        for marks in each.strings:
            boxes = np.stack([mark.box() for mark in marks]) * share + np.array([x, y, x, y], np.float32)
            order = np.argsort(boxes[:, 0] + boxes[:, 2], kind="stable")
            digits = "".join(str(marks[number].digit) for number in order)
            strings.append(String(each.style, digits, boxes[order].astype(np.float32)))
    return Scene(kind, pixels, (x, y, x + size[0], y + size[1]), tuple(strings))


def wide(boxes: NDArray[np.float32], narrowest: float, side: int = SIDE) -> NDArray[np.float32]:
    """(n, 4), none narrower than this share of its height, the middles kept, then cut at the picture's edge.

    A person marks the place of a 1 rather than its stroke, and of a box three pixels wide one pixel is a third.
    """
    middle = (boxes[:, 0] + boxes[:, 2]) / 2
    half = np.maximum(boxes[:, 2] - boxes[:, 0], np.float32(narrowest) * (boxes[:, 3] - boxes[:, 1])) / 2
    return np.stack([middle - half, boxes[:, 1], middle + half, boxes[:, 3]], axis=1).clip(0, side)
