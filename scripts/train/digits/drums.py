"""Mechanical counters: digits on drums that roll behind windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from digits.ink import Dice, Face, Mark, Picture, Plate, outline, painted
from digits.kit import Kit
from digits.surfaces import colour, contrasting, surface

LEAST_VISIBLE = 0.62
"""Share of a digit's ink behind the window from which on it is the one to be read."""


@dataclass(frozen=True, slots=True)
class _Look:
    face: Face
    digit_px: int
    window: tuple[int, int]
    """Height and width in pixels."""
    step_px: float
    """From one digit of a drum to the next."""
    round: float
    """How dark a drum gets towards its upper and lower edge."""


def counter(kit: Kit, dice: Dice, height_px: int, most: int) -> Plate:
    """Three to eight drums, fewer where `most` is smaller."""
    many = int(dice.integers(min(3, most), most + 1))
    look = _Look(
        face=kit.text(dice),
        digit_px=height_px,
        window=(round(height_px * dice.uniform(1.15, 1.75)), round(height_px * dice.uniform(0.72, 1.1))),
        step_px=height_px * dice.uniform(1.2, 1.55),
        round=dice.choice([0.0, dice.uniform(0.1, 0.7)]),
    )
    back, paint = _colours(dice)
    reds = int(dice.integers(1, 4)) if dice.random() < 0.5 and many > 2 else 0
    red_back, red_paint = _red(dice, back, paint)
    rim, gap = (
        round(height_px * dice.uniform(0.08, 0.5)),
        round(height_px * dice.choice([0.0, dice.uniform(0.02, 0.35)])),
    )
    pixels = surface(look.window[0] + 2 * rim, many * (look.window[1] + gap) - gap + 2 * rim, dice, _frame(dice, back))
    marks = []
    for place in range(many):
        last = place == many - 1
        roll = dice.uniform(-0.45, 0.45) if last and dice.random() < 0.6 else dice.normal(0, 0.03)
        if not last and dice.random() < 0.06:
            roll = dice.uniform(-0.3, 0.3)
        red = place >= many - reds
        x = rim + place * (look.window[1] + gap)
        drum, mark = _drum(look, dice, roll, red_back if red else back, red_paint if red else paint)
        pixels[rim : rim + look.window[0], x : x + look.window[1]] = drum
        if mark is not None:
            marks.append(mark.moved(x, rim))
        if gap and dice.random() < 0.5:
            corner = (x + look.window[1], rim + look.window[0])
            cv2.rectangle(pixels, (x - 1, rim - 1), corner, colour(dice, 0.1).tolist(), 1)
    if dice.random() < 0.4:
        _point(pixels, dice, rim, look, gap, many)
    cover = np.full(pixels.shape[:2], 255, np.uint8)
    return Plate("drums", pixels, cover, (tuple(marks),) if marks else ())


def _drum(look: _Look, dice: Dice, roll: float, back: Any, paint: Any) -> tuple[Picture, Mark | None]:
    """One window; `roll` shares of a step that the digit has moved down. The digit that is seen best is marked."""
    height, width = look.window
    digit = int(dice.integers(0, 10))
    pixels = surface(height, width, dice, back)
    mark = None
    for turn in (-1, 0, 1):
        glyph = look.face.glyph(str((digit - turn) % 10), look.digit_px)
        if glyph is None:
            continue
        y = round((height - look.digit_px) / 2 + glyph.top + (roll + turn) * look.step_px)
        x = round((width - glyph.mask.shape[1]) / 2 + dice.normal(0, 0.02) * width)
        painted(pixels, glyph.mask, paint, x, y)
        canvas = np.zeros((height, width), np.uint8)
        _copied(canvas, glyph.mask, x, y)
        hull = outline(canvas)
        if turn == 0 and hull is not None and canvas.sum() >= LEAST_VISIBLE * glyph.mask.sum():
            mark = Mark(digit, hull)
    if mark is None:  # nothing that anybody could read: the drum stands still instead
        return _drum(look, dice, 0.0, back, paint) if roll else (pixels, None)
    shade = 1 - look.round * np.linspace(-1, 1, height, dtype=np.float32) ** 2
    return cv2.convertScaleAbs(pixels * shade[:, np.newaxis, np.newaxis]), mark


def _copied(canvas: Picture, mask: Picture, x: int, y: int) -> None:
    height, width = canvas.shape
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + mask.shape[1], width), min(y + mask.shape[0], height)
    if x0 < x1 and y0 < y1:
        canvas[y0:y1, x0:x1] = mask[y0 - y : y1 - y, x0 - x : x1 - x]


def _colours(dice: Dice) -> tuple[Any, Any]:
    """Back and paint: most counters are white on black, then black on white."""
    kind = dice.random()
    dark, light = np.full(3, dice.uniform(5, 60)), np.clip(dice.uniform(175, 250) + dice.normal(0, 8, 3), 0, 255)
    if kind < 0.5:
        return dark, light
    if kind < 0.8:
        return light, dark
    back = colour(dice)
    return back, contrasting(back, dice, 80)


def _red(dice: Dice, back: Any, paint: Any) -> tuple[Any, Any]:
    """The decimals: red drums, or red digits where the drums are light."""
    red = np.array([dice.uniform(10, 70), dice.uniform(10, 70), dice.uniform(140, 235)])
    if dice.random() < 0.3 and float(np.mean(back)) > 140:
        return back, red
    return red, paint if float(np.mean(paint)) > 140 else np.full(3, 235.0)


def _frame(dice: Dice, back: Any) -> Any:
    return colour(dice, 0.15) if dice.random() < 0.7 else np.asarray(back) * 0.8


def _point(pixels: Picture, dice: Dice, rim: int, look: _Look, gap: int, many: int) -> None:
    """A decimal point or comma between two windows."""
    x = rim + int(dice.integers(1, many + 1)) * (look.window[1] + gap) - gap // 2
    y = rim + look.window[0] - max(1, look.digit_px // 10)
    cv2.circle(
        pixels,
        (x, y),
        max(1, look.digit_px // 14),
        contrasting(pixels[min(y, len(pixels) - 1), min(x, pixels.shape[1] - 1)], dice, 80).tolist(),
        -1,
        cv2.LINE_AA,
    )
