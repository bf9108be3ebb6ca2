"""`scene:digits`: a meter's seven segments count, a counter's drums roll, printed labels pass by.

The display and the counter sway a little; each of the three has a place of its own, so that none ever hides another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from capture.numerals import SEGMENTS_WIDTH, STROKES_WIDTH, segments, strokes
from capture.opencv import load_opencv
from capture.options import VideoOptions
from capture.samples import Pixels
from capture.scene import Scene

Display: TypeAlias = Literal["segments", "drums", "label"]
Box: TypeAlias = tuple[float, float, float, float]

SEGMENTS_PX, DRUM_PX, LABEL_PX = 62, 48, 50
"""Heights of the digits in a picture of 640x360. A network that sees it as 256x144 still gets 19 pixels."""
COUNTS_EVERY_S, ROLLS_EVERY_S, ROLL_S = 3.0, 4.0, 0.8
VISIT_S, ABSENT_S = 10.0, 1.5
"""Every VISIT_S seconds another label comes by, after ABSENT_S in which there is none."""
SWAY_PX = 12

_DISPLAY_PLACES, _DRUMS = 4, 5
_LOOKS = (((128, 158, 146), (28, 36, 30)), ((18, 16, 24), (64, 60, 240)), ((58, 40, 22), (250, 226, 190)))
"""Back and lit segments of a display, BGR: liquid crystal, red light-emitting diodes, white on blue."""
_CASING, _RIM, _PAPER, _INK = (96, 92, 88), (70, 74, 80), (214, 222, 226), (36, 30, 30)
_DRUM_BACK, _DRUM_INK, _LAST_BACK = (24, 24, 26), (232, 236, 238), (36, 32, 150)
_INKED = 128


@dataclass(frozen=True, slots=True)
class Numeral:
    """The truth about one digit in one picture."""

    digit: int
    box_px: Box
    """x1, y1, x2, y2 around its ink, also of what is outside the picture or behind the rim of a drum's window."""
    visible: float
    """Share of the box that is seen."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The truth about one display in one picture."""

    display: Display
    numerals: tuple[Numeral, ...]
    """From left to right; of a drum that rolls there may be two, one above the other."""

    @property
    def number(self) -> str:
        """What a person reads: every digit of which more than half is seen."""
        return "".join(str(each.digit) for each in self.numerals if each.visible > 0.5)


@dataclass(frozen=True, slots=True, eq=False)
class _Plate:
    """A display as it is painted into a picture."""

    pixels: Pixels
    cover: Pixels | None
    """255 where it hides the background; None: everywhere."""
    numerals: tuple[Numeral, ...]
    """In pixels of the plate."""


class Displays(Scene):
    """`scene:digits`."""

    kind = "digits"
    smallest = (320, 180)

    def __init__(self, name: str, options: VideoOptions) -> None:
        super().__init__(name, options)
        self._unit = min(self._width / 640, self._height / 360)
        """Pixels here for a pixel of 640x360."""
        random = np.random.default_rng(options.seed)
        self._look = _LOOKS[options.seed % len(_LOOKS)]
        self._first = int(random.integers(10**_DISPLAY_PLACES)), int(random.integers(10**_DRUMS))
        self._step = int(random.choice([1, 3, 7]))
        self._phases = random.uniform(0, 2 * math.pi, 4)
        self._plates: dict[Display, tuple[object, _Plate]] = {}
        """The last of each, and what it shows."""

    def truth(self, seq: int) -> list[Reading]:
        """The displays in picture `seq` of which a digit is visible, before `geometry` is applied."""
        found = []
        for display, plate, left, top in self._placed(seq):
            numerals = tuple(self._seen(each, left, top) for each in plate.numerals)
            if numerals := tuple(each for each in numerals if each.visible > 0):
                found.append(Reading(display, numerals))
        return found

    def _seen(self, numeral: Numeral, left: int, top: int) -> Numeral:
        """A plate's digit where the plate lies."""
        x1, y1, x2, y2 = numeral.box_px
        box = (x1 + left, y1 + top, x2 + left, y2 + top)
        inside = max(0.0, min(box[2], self._width) - max(box[0], 0.0)) / (x2 - x1)
        return Numeral(numeral.digit, box, numeral.visible * inside)

    def _paint(self, cv2: Any, pixels: Pixels, seq: int) -> None:
        for _, plate, left, top in self._placed(seq):
            _paste(cv2, pixels, plate, left, top)

    def _placed(self, seq: int) -> list[tuple[Display, _Plate, int, int]]:
        """Every display with its left and top."""
        seconds = seq / self._fps
        meter, counter = self._meter(seconds), self._counter(seconds)
        placed: list[tuple[Display, _Plate, int, int]] = [
            ("segments", meter, *self._swaying(meter, 0.26, seconds, 0)),
            ("drums", counter, *self._swaying(counter, 0.75, seconds, 2)),
        ]
        visit, since_s = divmod(seconds + VISIT_S / 2, VISIT_S)
        share = since_s / (VISIT_S - ABSENT_S)
        if share < 1:
            label = self._label(int(visit))
            height, width = label.pixels.shape[:2]
            left = round(share * (self._width + width) - width)
            placed.append(("label", label, left, round(0.79 * self._height - height / 2)))
        return placed

    def _swaying(self, plate: _Plate, across: float, seconds: float, phase: int) -> tuple[int, int]:
        height, width = plate.pixels.shape[:2]
        right = SWAY_PX * self._unit * math.sin(0.6 * seconds + self._phases[phase])
        down = SWAY_PX * self._unit * math.sin(0.8 * seconds + self._phases[phase + 1])
        return round(across * self._width - width / 2 + right), round(0.3 * self._height - height / 2 + down)

    def _px(self, of_640: float) -> int:
        return max(1, round(of_640 * self._unit))

    # -- the three of them --------------------------------------------------------------------------------------------

    def _meter(self, seconds: float) -> _Plate:
        count = (self._first[0] + self._step * int(seconds / COUNTS_EVERY_S)) % 10**_DISPLAY_PLACES
        if (known := self._plates.get("segments")) and known[0] == count:
            return known[1]
        tall, margin, casing = self._px(SEGMENTS_PX), self._px(18), self._px(14)
        pitch, (back, lit) = round(tall * (SEGMENTS_WIDTH + 0.2)), self._look
        wide = pitch * (_DISPLAY_PLACES - 1) + round(tall * SEGMENTS_WIDTH) + 2 * margin
        pixels = np.full((tall + 2 * (margin + casing), wide + 2 * casing, 3), _CASING, np.uint8)
        pixels[casing:-casing, casing:-casing] = back
        off = np.asarray(back) + 0.05 * (np.asarray(lit, float) - back)
        numerals, top = [], casing + margin
        for place, digit in enumerate(_digits_of(count, _DISPLAY_PLACES)):
            left = casing + margin + place * pitch
            _ink(pixels, segments(8, tall), off, left, top)
            mask = segments(digit, tall)
            _ink(pixels, mask, lit, left, top)
            numerals.append(Numeral(digit, _box(mask, left, top), 1.0))
        return self._kept("segments", count, _Plate(pixels, None, tuple(numerals)))

    def _counter(self, seconds: float) -> _Plate:
        """Each drum turns while the one on its right goes from 9 to 0."""
        turns, since_s = divmod(seconds, ROLLS_EVERY_S)
        count = (self._first[1] + int(turns)) % 10**_DRUMS
        way = max(0.0, (since_s - ROLLS_EVERY_S + ROLL_S) / ROLL_S)
        roll = way * way * (3 - 2 * way)
        if (known := self._plates.get("drums")) and known[0] == (count, roll):
            return known[1]
        tall, wide, high = self._px(DRUM_PX), self._px(0.8 * DRUM_PX), self._px(1.3 * DRUM_PX)
        gap, rim = self._px(4), self._px(14)
        pixels = np.full((high + 2 * rim, _DRUMS * (wide + gap) - gap + 2 * rim, 3), _RIM, np.uint8)
        numerals: list[Numeral] = []
        digits = _digits_of(count, _DRUMS)
        for place, digit in enumerate(digits):
            turning = roll if all(lower == 9 for lower in digits[place + 1 :]) else 0.0
            drum, seen = _drum(digit, turning, (high, wide), tall, last=place == _DRUMS - 1)
            left = rim + place * (wide + gap)
            pixels[rim : rim + high, left : left + wide] = drum
            numerals.extend(Numeral(each.digit, _moved(each.box_px, left, rim), each.visible) for each in seen)
        return self._kept("drums", (count, roll), _Plate(pixels, None, tuple(numerals)))

    def _label(self, visit: int) -> _Plate:
        if (known := self._plates.get("label")) and known[0] == visit:
            return known[1]
        random = np.random.default_rng((self._options.seed, visit))
        number = str(random.integers(100, 100_000))
        tall, margin = self._px(LABEL_PX), self._px(20)
        pitch = round(tall * (STROKES_WIDTH + 0.18))
        width = pitch * (len(number) - 1) + round(tall * STROKES_WIDTH) + 2 * margin
        paper = np.full((tall + 2 * margin, width, 3), _PAPER, np.uint8)
        alone = []
        for place, digit in enumerate(number):
            mask = strokes(int(digit), tall)
            _ink(paper, mask, _INK, margin + place * pitch, margin)
            alone.append(_on_canvas(mask, paper.shape[:2], margin + place * pitch, margin))
        made = _tilted(paper, alone, [int(digit) for digit in number], float(random.uniform(-5, 5)))
        return self._kept("label", visit, made)

    def _kept(self, display: Display, shown: object, plate: _Plate) -> _Plate:
        self._plates[display] = shown, plate
        return plate


def _digits_of(count: int, places: int) -> list[int]:
    return [int(digit) for digit in f"{count:0{places}d}"]


def _drum(
    digit: int, turning: float, window: tuple[int, int], tall: int, *, last: bool
) -> tuple[Pixels, list[Numeral]]:
    """What is seen through the window of a drum that has gone `turning` (0 to 1) of the way to its next digit."""
    high, wide = window
    back = np.asarray(_LAST_BACK if last else _DRUM_BACK, float)
    shade = 1 - 0.45 * np.linspace(-1, 1, high) ** 2
    pixels = np.asarray(np.tile((shade[:, np.newaxis] * back)[:, np.newaxis], (1, wide, 1)), np.uint8)
    numerals = []
    for ahead in (0, 1):
        mask = strokes((digit + ahead) % 10, tall)
        left, top = (wide - mask.shape[1]) // 2, round((high - tall) / 2 + (ahead - turning) * high)
        shown = mask[max(0, -top) : max(0, high - top)]
        if not shown.size:
            continue
        _ink(pixels, shown, _DRUM_INK, left, max(0, top))
        box = _box(mask, left, top)
        inside = max(0.0, min(box[3], high) - max(box[1], 0.0)) / (box[3] - box[1])
        if inside > 0:
            numerals.append(Numeral((digit + ahead) % 10, box, inside))
    return pixels, numerals


def _tilted(paper: Pixels, alone: list[Pixels], digits: list[int], angle_deg: float) -> _Plate:
    """The paper turned, in a plate that holds all of it; `alone`: each digit's mask on an empty paper."""
    cv2 = load_opencv()
    height, width = paper.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle_deg, 1.0)
    cos, sin = abs(turn[0, 0]), abs(turn[0, 1])
    size = math.ceil(width * cos + height * sin), math.ceil(width * sin + height * cos)
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    pixels = cv2.warpAffine(paper, turn, size, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpAffine(np.full((height, width), 255, np.uint8), turn, size)
    numerals = tuple(
        Numeral(digit, _box(cv2.warpAffine(mask, turn, size), 0, 0), 1.0)
        for digit, mask in zip(digits, alone, strict=True)
    )
    return _Plate(pixels, np.where(cover >= _INKED, 255, 0).astype(np.uint8), numerals)


def _ink(pixels: Pixels, mask: Pixels, colour: Any, left: int, top: int) -> None:
    """Paint where the mask is; all of it lies inside."""
    place = pixels[top : top + mask.shape[0], left : left + mask.shape[1]]
    share = mask[..., np.newaxis].astype(np.float32) / 255
    place[:] = np.round(place + (np.asarray(colour, np.float32) - place) * share)


def _on_canvas(mask: Pixels, shape: tuple[int, ...], left: int, top: int) -> Pixels:
    canvas = np.zeros(shape, np.uint8)
    canvas[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return canvas


def _box(mask: Pixels, left: int, top: int) -> Box:
    """Around the ink of a mask that lies there."""
    ys, xs = np.nonzero(mask >= _INKED)
    return float(xs.min() + left), float(ys.min() + top), float(xs.max() + 1 + left), float(ys.max() + 1 + top)


def _moved(box: Box, right: int, down: int) -> Box:
    return box[0] + right, box[1] + down, box[2] + right, box[3] + down


def _paste(cv2: Any, pixels: Pixels, plate: _Plate, left: int, top: int) -> None:
    """Paint a plate that may reach beyond the left and right of the picture."""
    height, width = plate.pixels.shape[:2]
    skip, end = max(0, -left), min(width, pixels.shape[1] - left)
    if skip >= end:
        return
    place = pixels[top : top + height, left + skip : left + end]
    if plate.cover is None:
        place[:] = plate.pixels[:, skip:end]
    else:
        cover = plate.cover[:, skip:end, np.newaxis] > 0
        np.copyto(place, plate.pixels[:, skip:end], where=cover)
