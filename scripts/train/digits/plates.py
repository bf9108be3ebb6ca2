"""Things with digits on them: print, displays, counters, handwriting, scales. Each is drawn flat and upright."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from digits.ink import DIGITS, Dice, Face, Line, Mark, Picture, Plate, painted, set_line
from digits.kit import Kit
from digits.segments import Segments
from digits.surfaces import WORDS, colour, contrasting, luma, surface, without_digits


def plate(style: str, kit: Kit, dice: Dice, height_px: int, most: int = 8) -> Plate:
    """A plate with digits of this height; `most`: so many digits in a string at most."""
    return STYLES[style](kit, dice, height_px, most)


def number(dice: Dice, most: int) -> str:
    """Digits, every one as likely as the others."""
    return "".join(dice.choice(list(DIGITS), int(dice.integers(1, most + 1))))


def text(dice: Dice, most: int) -> str:
    """A number as it stands on labels and displays."""
    digits = number(dice, most)
    kind = dice.random()
    if kind < 0.45:
        return digits
    if kind < 0.65 and len(digits) > 1:
        at = int(dice.integers(1, len(digits)))
        return digits[:at] + str(dice.choice(list(".,.,:-/ "))) + digits[at:]
    if kind < 0.75:
        return f"{digits} {without_digits(str(dice.choice(WORDS)))}"
    if kind < 0.83:
        return f"{without_digits(str(dice.choice(WORDS)))} {digits}"
    if kind < 0.9:
        return "-" + digits
    return "".join(c if dice.random() < 0.75 else str(dice.choice(list("ACEFHKMNPRTXY"))) for c in digits)


def printed(kit: Kit, dice: Dice, height_px: int, most: int) -> Plate:
    """Labels, paper, screens, engraved and raised type: one to three lines."""
    face = kit.text(dice)
    many = 1 if dice.random() < 0.75 else int(dice.integers(2, 4))
    pitch = dice.uniform(0.85, 1.3) if dice.random() < 0.12 else 0.0
    spacing = dice.choice([0.0, dice.uniform(-0.02, 0.25)])
    lines = [set_line(face, text(dice, most), height_px, dice, spacing=spacing, pitch=pitch) for _ in range(many)]
    return _sheet("print", lines, dice, height_px)


def written(kit: Kit, dice: Dice, height_px: int, most: int) -> Plate:
    """By hand, on paper or a board."""
    face, wobble = kit.hand(dice), dice.uniform(0.0, 0.07)
    spacing = dice.uniform(0.0, 0.15)
    lines = [
        set_line(face, text(dice, most), height_px, dice, spacing=spacing, wobble=wobble)
        for _ in range(1 if dice.random() < 0.8 else 2)
    ]
    return _sheet("hand", lines, dice, height_px)


def licence(kit: Kit, dice: Dice, height_px: int, most: int) -> Plate:
    """Letters and digits, evenly spaced, on a plate with a border."""
    characters = [str(dice.choice(list(DIGITS if dice.random() < 0.6 else "ACEFHJKLMNPRTUVWXY"))) for _ in range(7)]
    characters[int(dice.integers(0, 7))] = str(dice.integers(0, 10))
    line = set_line(kit.text(dice), "".join(characters[:most]), height_px, dice, spacing=dice.uniform(0.05, 0.2))
    return _sheet("licence", [line], dice, height_px, border=True)


def segment_display(kit: Kit, dice: Dice, height_px: int, most: int) -> Plate:
    """Seven segments: dark on a grey LCD, or lit."""
    face = kit.segment(dice)
    line, unlit = _display_line(face, dice, height_px, most)
    lit = dice.random() < 0.55
    margin = [round(height_px * dice.uniform(0.1, 0.9)) for _ in range(4)]
    height, width = line.mask.shape[0] + margin[0] + margin[1], line.mask.shape[1] + margin[2] + margin[3]
    if lit:
        back = np.full(3, dice.uniform(0, 45)) + dice.uniform(0, 14, 3)
        paint = np.array(_led_colour(dice))
    else:
        back = np.clip(dice.uniform(95, 215) + dice.normal(0, 18, 3), 0, 255)
        paint = np.clip(dice.uniform(5, 60) + dice.normal(0, 8, 3), 0, 255)
        if dice.random() < 0.25:  # a backlit LCD, sometimes negative
            back = np.array(_led_colour(dice)) * dice.uniform(0.45, 1)
            paint = contrasting(back, dice, 85)
    pixels = surface(height, width, dice, back)
    if unlit is not None:
        painted(pixels, unlit, paint, margin[2], margin[0], strength=float(dice.uniform(0.02, 0.17)))
    if lit:
        _glow(pixels, line.mask, paint, margin[2], margin[0], dice, height_px)
    elif dice.random() < 0.3:
        drop = max(1, round(height_px * dice.uniform(0.02, 0.06)))
        painted(pixels, line.mask, back * 0.55, margin[2] + drop, margin[0] + drop, strength=0.35)
    painted(pixels, line.mask, paint, margin[2], margin[0])
    if dice.random() < 0.3:
        _label(pixels, kit.text(dice), dice, height_px, paint)
    marks = tuple(mark.moved(margin[2], margin[0]) for mark in line.marks)
    return _framed(Plate("segments", pixels, _whole(pixels), (marks,)), dice)


def dot_display(kit: Kit, dice: Dice, height_px: int, most: int) -> Plate:
    """A matrix of dots, lit or dark."""
    height_px = max(height_px, 14)
    line = set_line(kit.dots(dice), number(dice, most), height_px, dice, spacing=dice.uniform(0.0, 0.1))
    margin = round(height_px * dice.uniform(0.15, 0.7))
    if dice.random() < 0.6:
        back, paint = np.full(3, dice.uniform(0, 40)), np.array(_led_colour(dice))
    else:
        back = np.clip(dice.uniform(110, 225) + dice.normal(0, 20, 3), 0, 255)
        paint = contrasting(back, dice, 80)
    pixels = surface(line.mask.shape[0] + 2 * margin, line.mask.shape[1] + 2 * margin, dice, back)
    if luma(paint) > luma(back) and dice.random() < 0.6:
        _glow(pixels, line.mask, paint, margin, margin, dice, height_px)
    painted(pixels, line.mask, paint, margin, margin)
    marks = tuple(mark.moved(margin, margin) for mark in line.marks)
    return _framed(Plate("dots", pixels, _whole(pixels), (marks,)), dice)


def scale(kit: Kit, dice: Dice, height_px: int, most: int) -> Plate:
    """Numbers along a ruler or around a dial, each by itself."""
    face, many = kit.text(dice), int(dice.integers(4, 9))
    step = int(dice.choice([1, 2, 5, 10, 20, 50, 100]))
    numbers = [str(step * (n + int(dice.integers(0, 2)))) for n in range(many)]
    lines = [set_line(face, each[: max(1, most)], height_px, dice) for each in numbers]
    apart = max(line.mask.shape[1] for line in lines) + height_px * dice.uniform(0.5, 1.2)
    if dice.random() < 0.5:
        places = np.stack([np.arange(many) * apart, np.zeros(many)], axis=1)
    else:
        angles = np.linspace(np.pi * 0.75, np.pi * 2.25, many) if many > 4 else np.linspace(np.pi, 2 * np.pi, many)
        radius = apart * many / dice.uniform(3.6, 4.4)
        places = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius
    return _scattered(lines, places, dice, height_px)


def drums(kit: Kit, dice: Dice, height_px: int, most: int) -> Plate:
    """A mechanical counter: digits on drums behind windows, the last ones perhaps red and on their way."""
    from digits.drums import counter

    return counter(kit, dice, height_px, most)


STYLES: dict[str, Callable[[Kit, Dice, int, int], Plate]] = {
    "print": printed,
    "hand": written,
    "licence": licence,
    "segments": segment_display,
    "dots": dot_display,
    "scale": scale,
    "drums": drums,
}


def _sheet(style: str, lines: list[Line], dice: Dice, height_px: int, *, border: bool = False) -> Plate:
    """Lines of type below one another on something flat."""
    margins = [round(height_px * dice.uniform(0.08, 0.7)) for _ in range(4)]
    gap = round(height_px * dice.uniform(0.3, 0.8))
    width = max(line.mask.shape[1] for line in lines) + margins[2] + margins[3]
    height = sum(line.mask.shape[0] for line in lines) + gap * (len(lines) - 1) + margins[0] + margins[1]
    back = colour(dice)
    paint = contrasting(back, dice, 70)
    pixels = surface(height, width, dice, back)
    if style == "hand" and dice.random() < 0.3:
        for y in range(int(dice.integers(2, 9)), height, max(4, round(height_px * dice.uniform(0.3, 1.2)))):
            cv2.line(pixels, (0, y), (width, y), (back * 0.75 + paint * 0.25).tolist(), 1)
    relief = dice.random() if style == "print" else 1.0
    y, strings = margins[0], []
    for line in lines:
        _type(pixels, line.mask, paint, back, margins[2], y, relief, height_px)
        strings.append(tuple(mark.moved(margins[2], y) for mark in line.marks))
        y += line.mask.shape[0] + gap
    if border or dice.random() < 0.2:
        thick = max(1, round(height_px * dice.uniform(0.03, 0.12)))
        cv2.rectangle(pixels, (0, 0), (width - 1, height - 1), (paint if border else colour(dice)).tolist(), thick)
    return Plate(style, pixels, _whole(pixels), tuple(string for string in strings if string))


def _type(pixels: Picture, mask: Picture, paint: Any, back: Any, x: int, y: int, relief: float, height_px: int) -> None:
    """Plain in most cases; below 0.1 raised or engraved, below 0.16 with a rim."""
    if relief < 0.1 and height_px >= 16:
        off = max(1, height_px // 24)
        light, dark = np.clip(back * 1.2 + 50, 0, 255), back * 0.35
        first, second = (light, dark) if relief < 0.05 else (dark, light)
        painted(pixels, mask, first, x - off, y - off, strength=0.9)
        painted(pixels, mask, second, x + off, y + off, strength=0.9)
        painted(pixels, mask, back * 0.9, x, y)
        return
    if relief < 0.16 and height_px >= 16:
        rim = cv2.dilate(cv2.copyMakeBorder(mask, 2, 2, 2, 2, cv2.BORDER_CONSTANT), np.ones((3, 3), np.uint8))
        painted(pixels, rim, np.clip(255 - np.asarray(paint), 0, 255), x - 2, y - 2, strength=0.8)
    painted(pixels, mask, paint, x, y)


def _display_line(face: Face, dice: Dice, height_px: int, most: int) -> tuple[Line, Picture | None]:
    """A number with points and colons, and the segments that are off where they can be known."""
    digits = number(dice, most)
    if not isinstance(face, Segments):
        return set_line(face, digits, height_px, dice, spacing=dice.uniform(0, 0.2)), None
    cell = face.unlit(height_px)
    gap = round(height_px * dice.uniform(0.06, 0.3))
    stride = cell.shape[1] + gap - round(face.shape.slant * height_px * 0.8)
    blank = int(dice.integers(0, 3)) if dice.random() < 0.25 else 0
    point = int(dice.integers(0, len(digits))) if dice.random() < 0.4 else -1
    dot = max(2, round(face.shape.thickness * height_px * dice.uniform(0.8, 1.3)))
    mask = np.zeros((height_px, stride * (len(digits) + blank) + cell.shape[1] + dot + gap), np.uint8)
    unlit, marks, x = np.zeros_like(mask), [], 0
    for position in range(-blank, len(digits)):
        np.maximum(unlit[:, x : x + cell.shape[1]], cell, out=unlit[:, x : x + cell.shape[1]])
        if position >= 0:
            one = set_line(face, digits[position], height_px, dice)
            glyph = face.glyph(digits[position], height_px)
            assert glyph is not None, "seven segments show every digit"
            left = x + round(glyph.left)
            place = mask[round(glyph.top) :, left : left + one.mask.shape[1]][: glyph.mask.shape[0]]
            np.maximum(place, glyph.mask, out=place)
            marks += [Mark(mark.digit, mark.outline + np.array([left, 0], np.float32)) for mark in one.marks]
            if position == point:
                at = x + stride - gap // 2
                for bottom in (height_px,) if dice.random() < 0.8 else (height_px // 3, height_px * 3 // 4):
                    mask[max(0, bottom - dot) : bottom, max(0, at - dot // 2) : at - dot // 2 + dot] = 255
        x += stride
    return Line(mask, tuple(marks)), unlit


def _led_colour(dice: Dice) -> list[float]:
    """BGR of common displays: red, green, amber, blue, white, cyan."""
    base = (
        (40, 40, 255),
        (60, 255, 60),
        (30, 160, 255),
        (255, 120, 40),
        (255, 255, 255),
        (255, 240, 90),
        (60, 220, 255),
    )
    return [float(each) for each in np.clip(np.array(base[dice.integers(len(base))]) + dice.normal(0, 20, 3), 0, 255)]


def _glow(pixels: Picture, mask: Picture, paint: Any, x: int, y: int, dice: Dice, height_px: int) -> None:
    reach = max(1, round(height_px * dice.uniform(0.03, 0.18)))
    around = cv2.copyMakeBorder(mask, 2 * reach, 2 * reach, 2 * reach, 2 * reach, cv2.BORDER_CONSTANT)
    halo = cv2.GaussianBlur(around, (0, 0), reach)
    painted(pixels, halo, paint, x - 2 * reach, y - 2 * reach, strength=float(dice.uniform(0.1, 0.7)))


def _label(pixels: Picture, face: Face, dice: Dice, height_px: int, paint: Any) -> None:
    """A small unit in a corner of a display."""
    small = set_line(face, without_digits(str(dice.choice(WORDS))), max(6, round(height_px * 0.25)), dice)
    x = pixels.shape[1] - small.mask.shape[1] - 2 if dice.random() < 0.6 else 2
    y = 1 if dice.random() < 0.5 else pixels.shape[0] - small.mask.shape[0] - 1
    painted(pixels, small.mask, paint, x, y, strength=0.8)


def _scattered(lines: list[Line], places: np.ndarray, dice: Dice, height_px: int) -> Plate:
    places = np.round(places - places.min(axis=0) + height_px * 0.6).astype(int)
    width = max(int(x) + line.mask.shape[1] for line, (x, _) in zip(lines, places, strict=True)) + height_px // 2
    height = max(int(y) + line.mask.shape[0] for line, (_, y) in zip(lines, places, strict=True)) + height_px // 2
    back = colour(dice)
    paint = contrasting(back, dice, 70)
    pixels = surface(height, width, dice, back)
    strings = []
    for line, (x, y) in zip(lines, places, strict=True):
        painted(pixels, line.mask, paint, int(x), int(y))
        strings.append(tuple(mark.moved(int(x), int(y)) for mark in line.marks))
        tick = (int(x) + line.mask.shape[1] // 2, int(y) - max(2, height_px // 5))
        cv2.line(pixels, tick, (tick[0], tick[1] - height_px // 3), paint.tolist(), max(1, height_px // 14))
    return Plate("scale", pixels, _whole(pixels), tuple(strings))


def _framed(made: Plate, dice: Dice) -> Plate:
    """A bezel around a display, perhaps."""
    if dice.random() < 0.5:
        return made
    height, width = made.pixels.shape[:2]
    rim = max(1, round(min(height, width) * dice.uniform(0.03, 0.25)))
    pixels = surface(height + 2 * rim, width + 2 * rim, dice)
    pixels[rim : rim + height, rim : rim + width] = made.pixels
    if dice.random() < 0.5:
        cv2.rectangle(pixels, (rim, rim), (rim + width - 1, rim + height - 1), colour(dice).tolist(), max(1, rim // 5))
    strings = tuple(tuple(mark.moved(rim, rim) for mark in string) for string in made.strings)
    return Plate(made.style, pixels, _whole(pixels), strings)


def _whole(pixels: Picture) -> Picture:
    return np.full(pixels.shape[:2], 255, np.uint8)
