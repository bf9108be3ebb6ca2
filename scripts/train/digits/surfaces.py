"""What is behind and beside digits: colours, textures, and clutter that must not be read."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from digits.ink import Dice, Face, Picture, painted, set_line

WORDS = (
    "kWh", "m³", "m3", "kW", "Hz", "V", "A", "W", "bar", "kPa", "MPa", "°C", "°F", "%", "km/h", "RPM", "rpm", "mm",
    "TYPE", "Nr.", "NO.", "MADE", "MAX", "MIN", "TEST", "ENERGY", "WATER", "GAS", "METER", "Hauptzähler", "Strom",
    "MODE", "SET", "START", "HEAT", "TIME", "AM", "PM", "FAN", "WARNUNG", "Serie", "VAC", "CAT", "EN", "FCC", "CE",
    "PRESS", "RESET", "ΔT", "Type", "Volt", "kVA", "N/A", "ERR", "tare", "NET", "FUEL", "TEMP", "cm", "km", "REF", "kg",
)  # fmt: skip
LETTERS = "ACEFHJKMNPRTUVWXYacdefhkmnprtuvwxy"
"""Without those that are digits in some font."""

CALM = 16.0
"""Of 255: standard deviation up to which the texture beneath digits goes; they differ from it by 60 and more."""


def luma(colour: Any) -> float:
    blue, green, red = (float(each) for each in colour)
    return 0.114 * blue + 0.587 * green + 0.299 * red


def colour(dice: Dice, saturation: float = 0.35) -> np.ndarray:
    """BGR, 0 to 255; mostly dull."""
    grey = dice.uniform(0, 255)
    tint = dice.normal(0, 1, 3) * 255 * saturation * dice.random() ** 2
    return np.clip(grey + tint, 0, 255)


def contrasting(other: Any, dice: Dice, least: float = 60) -> np.ndarray:
    """A colour that a reader can tell from `other`."""
    for _ in range(30):
        tried = colour(dice)
        if abs(luma(tried) - luma(other)) >= least:
            return tried
    return np.full(3, 240.0 if luma(other) < 128 else 15.0)


def surface(height: int, width: int, dice: Dice, base: Any = None) -> Picture:
    """A background without anything on it: plain, shaded, grained, brushed, striped or blotched.

    With a `base` something is to be read on it, and it is calmer.
    """
    calm = base is not None
    base = colour(dice) if base is None else np.asarray(base)
    field = np.zeros((2, 2, 1), np.float32)
    if dice.random() < 0.5:
        field += dice.uniform(-45, 45, (2, 2, 1)).astype(np.float32)
    relief = _grown(field, height, width)
    for _ in range(int(dice.integers(0, 3))):
        coarse = (int(dice.integers(2, 24)), int(dice.integers(2, 24)))
        if dice.random() < 0.25:
            coarse = (coarse[0], 1) if dice.random() < 0.5 else (1, coarse[1])
        strength = dice.uniform(2, 22)
        relief = relief + _grown(dice.standard_normal((*coarse, 1), np.float32) * np.float32(strength), height, width)
    if dice.random() < 0.3:
        grain = dice.standard_normal((height, width), np.float32) * np.float32(dice.uniform(2, 18))
        across = int(dice.choice([1, 3, 15]))
        relief = relief + cv2.blur(grain, (across, 1) if dice.random() < 0.5 else (1, across)) * np.float32(across**0.5)
    if calm:
        relief = relief * np.float32(min(1.0, CALM / max(1e-3, float(relief.std()))))
    plain: Any = [float(channel) for channel in base]  # OpenCV adds numbers too, which its types do not know
    return cv2.merge([cv2.add(relief, channel, dtype=cv2.CV_8U) for channel in plain])


def _grown(coarse: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def clutter(picture: Picture, dice: Dice, many: int) -> None:
    """Things without digits, drawn in place."""
    for _ in range(many):
        thing = _THINGS[dice.integers(len(_THINGS))]
        thing(picture, dice)


def words(picture: Picture, face: Face, dice: Dice, many: int) -> None:
    """Letters and units, drawn in place."""
    height, width = picture.shape[:2]
    for _ in range(many):
        text = str(dice.choice(WORDS)) if dice.random() < 0.6 else _gibberish(dice)
        size = int(np.clip(height * dice.uniform(0.03, 0.2) * (2 if dice.random() < 0.1 else 1), 7, 120))
        line = set_line(face, without_digits(text), size, dice)
        x, y = int(dice.integers(-20, width)), int(dice.integers(-10, height))
        around = picture[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
        painted(picture, line.mask, contrasting(around, dice, 40), x, y, strength=dice.uniform(0.6, 1))


def _gibberish(dice: Dice) -> str:
    return "".join(dice.choice(list(LETTERS), dice.integers(1, 9)))


def without_digits(text: str) -> str:
    return "".join(character for character in text if not character.isdigit())


def _box(picture: Picture, dice: Dice) -> None:
    height, width = picture.shape[:2]
    x, y = dice.integers(-width // 4, width), dice.integers(-height // 4, height)
    far = (int(x + width * dice.uniform(0.05, 0.7)), int(y + height * dice.uniform(0.05, 0.7)))
    thick = -1 if dice.random() < 0.6 else int(dice.integers(1, 6))
    cv2.rectangle(picture, (int(x), int(y)), far, colour(dice).tolist(), thick, cv2.LINE_AA)


def _disc(picture: Picture, dice: Dice) -> None:
    height, width = picture.shape[:2]
    where = (int(dice.integers(0, width)), int(dice.integers(0, height)))
    axes = (
        (int(width * dice.uniform(0.01, 0.3)) + 1,) * 2
        if dice.random() < 0.7
        else tuple(dice.integers(3, 60, 2).tolist())
    )
    thick = -1 if dice.random() < 0.5 else int(dice.integers(1, 7))
    cv2.ellipse(picture, where, axes, float(dice.uniform(0, 180)), 0, 360, colour(dice).tolist(), thick, cv2.LINE_AA)


def _stroke(picture: Picture, dice: Dice) -> None:
    height, width = picture.shape[:2]
    points = [(int(dice.integers(0, width)), int(dice.integers(0, height))) for _ in range(2)]
    cv2.line(picture, points[0], points[1], colour(dice).tolist(), int(dice.integers(1, 9)), cv2.LINE_AA)


def _ruler(picture: Picture, dice: Dice) -> None:
    """Ticks along a line, as on scales, and bar codes when they are thick."""
    height, width = picture.shape[:2]
    x, y = dice.uniform(0, width * 0.6), dice.uniform(0, height * 0.9)
    step, tall = dice.uniform(3, 14), height * dice.uniform(0.02, 0.2)
    paint, code = colour(dice).tolist(), dice.random() < 0.4
    upright = dice.random() < 0.75
    for number in range(int(dice.integers(8, 45))):
        at = x + number * step
        length = tall * (1 if code or number % 5 == 0 else 0.55)
        thick = int(dice.integers(1, max(2, int(step) - 1))) if code else 1
        start, end = ((at, y), (at, y + length)) if upright else ((y, at), (y + length, at))
        cv2.line(picture, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), paint, thick, cv2.LINE_AA)


def _dial(picture: Picture, dice: Dice) -> None:
    """A round scale with ticks and a hand."""
    height, width = picture.shape[:2]
    centre = np.array([dice.uniform(0, width), dice.uniform(0, height)])
    radius = min(height, width) * dice.uniform(0.08, 0.45)
    if dice.random() < 0.7:
        cv2.circle(picture, centre.astype(int).tolist(), int(radius * 1.1), colour(dice).tolist(), -1, cv2.LINE_AA)
    paint = colour(dice).tolist()
    for angle in np.linspace(0, dice.uniform(3, 6.3), int(dice.integers(8, 50))):
        way = np.array([np.cos(angle), np.sin(angle)])
        ends = (centre + way * radius * 0.88).astype(int).tolist(), (centre + way * radius).astype(int).tolist()
        cv2.line(picture, ends[0], ends[1], paint, 1, cv2.LINE_AA)
    angle = dice.uniform(0, 6.3)
    tip = (centre + np.array([np.cos(angle), np.sin(angle)]) * radius * 0.8).astype(int).tolist()
    cv2.line(picture, centre.astype(int).tolist(), tip, colour(dice).tolist(), int(dice.integers(1, 5)), cv2.LINE_AA)


def _screw(picture: Picture, dice: Dice) -> None:
    height, width = picture.shape[:2]
    where = np.array([dice.integers(0, width), dice.integers(0, height)])
    radius = int(dice.integers(3, 16))
    cv2.circle(picture, where.tolist(), radius, colour(dice, 0.1).tolist(), -1, cv2.LINE_AA)
    way = np.array([np.cos(a := dice.uniform(0, 3.2)), np.sin(a)]) * radius * 0.7
    for turn in (way, way[::-1] * [1, -1]) if dice.random() < 0.5 else (way,):
        ends = (where - turn).astype(int).tolist(), (where + turn).astype(int).tolist()
        cv2.line(picture, ends[0], ends[1], (30, 30, 30), max(1, radius // 4), cv2.LINE_AA)


def _scribble(picture: Picture, dice: Dice) -> None:
    """A curve that is no character."""
    height, width = picture.shape[:2]
    start = np.array([dice.uniform(0, width), dice.uniform(0, height)])
    steps = dice.normal(0, height * dice.uniform(0.02, 0.12), (int(dice.integers(4, 9)), 2))
    points = np.round(start + np.cumsum(steps, axis=0)).astype(np.int32)
    cv2.polylines(picture, [points], False, colour(dice).tolist(), int(dice.integers(1, 6)), cv2.LINE_AA)


_THINGS = (_box, _box, _disc, _stroke, _ruler, _ruler, _dial, _screw, _scribble)
