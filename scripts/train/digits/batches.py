"""Pictures to learn from, made of rendered scenes anew each time.

A picture cut tightly around a display is mostly padding once it is a square. So displays and single digits are set on
sheets, many beside one another, and from larger scenes windows are cut: several times more digits for the same
computation, in more sizes and places than were rendered.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from digits.dataset import Dataset
from digits.ink import Dice, Picture
from digits.loss import Truth
from digits.scene import NARROWEST, PAD, wide

SHELF_PX = (24.0, 170.0)
"""How tall a row of a sheet is."""
ZOOM = (0.7, 1.35)
"""Of a window that is cut from a scene."""
STRETCH = (0.8, 1.25)
"""How much wider a display or a digit is set on a sheet than it was rendered: types are narrow and broad."""
SMALLEST_PX = 8.5
"""Nothing is shrunk so far that a digit becomes less tall."""
WHOLE, GONE = 0.85, 0.3
"""Share of a digit's box from which on it is wanted although an edge cuts it, and below which nothing is left of it."""
_NARROWEST_PX = 14
"""Room on a sheet that is left empty."""


class Batches:
    """Those of one process, which has its own part of the scenes."""

    def __init__(self, data: Dataset, numbers: NDArray[np.int64], dice: Dice) -> None:
        self._data, self._pixels, self._dice = data, data.pixels, dice
        tight = np.array([data.kinds[number] in ("single", "strip") for number in numbers])
        empty = np.array([data.kinds[number] == "nothing" for number in numbers])
        self._tight = self._endless(numbers[tight])
        # Those without digits twice as often: a sheet hardly has a place that is to be left alone.
        self._wide = self._endless(np.concatenate([numbers[~tight], numbers[empty]]))
        self._all = self._endless(numbers)

    def mixed(self, many: int, side: int) -> tuple[Tensor, Truth]:
        """(many, 3, side, side): sheets and, between them, windows and single displays in turn."""
        window, sheet, alone = self._window, self._sheet, self._alone
        kinds = (window, sheet, alone, sheet, window, sheet, alone, sheet)
        return _tensors([kinds[place % len(kinds)](side) for place in range(many)])

    def plain(self, many: int, side: int) -> tuple[Tensor, Truth]:
        """Scenes as the appliance will see them: the whole picture, with its padding; a sheet in every fourth place."""
        return _tensors([self._sheet(side) if place % 4 == 3 else self._whole(side) for place in range(many)])

    def _whole(self, side: int) -> Page:
        number = next(self._all)
        page, pixels = Page(side, self._dice), self._pixels[number]
        page.paste(pixels, side / len(pixels), 0, 0, *self._data.digits(number))
        return page

    def _endless(self, numbers: NDArray[np.int64]) -> Iterator[int]:
        while True:
            yield from self._dice.permutation(numbers).tolist()

    def _sheet(self, side: int) -> Page:
        """Rows of displays and digits, as many as there is room for."""
        page, y = Page(side, self._dice), 0
        while y < side - _NARROWEST_PX:
            tall, x, shelf = _between(SHELF_PX, self._dice), 0, 0
            while x < side - _NARROWEST_PX:
                pixels, digits, boxes = self._content(next(self._tight))
                height, width = pixels.shape[:2]
                stretch = _between(STRETCH, self._dice)
                share = max(min(tall / height, side / (width * stretch)), _least(boxes))
                if x and x + width * stretch * share > side + 1:
                    break
                page.paste(pixels, share, x, y, digits, boxes, stretch)
                x, shelf = x + round(width * stretch * share), max(shelf, round(height * share))
            y += shelf
        return page

    def _alone(self, side: int) -> Page:
        """One display or digit, as large as there is room for, and nothing else."""
        page = Page(side, self._dice)
        pixels, digits, boxes = self._content(next(self._tight))
        share = side / max(pixels.shape[:2])
        x, y = (round((side - length * share) / 2) for length in pixels.shape[1::-1])
        page.paste(pixels, share, x, y, digits, boxes)
        return page

    def _window(self, side: int) -> Page:
        """A part of a larger scene, nearer or farther, and padding where it ends."""
        page = Page(side, self._dice)
        pixels, digits, boxes = self._content(next(self._wide))
        share = max(_between(ZOOM, self._dice), _least(boxes))
        room = side - np.array(pixels.shape[1::-1]) * share
        x, y = np.round(self._dice.uniform(np.minimum(room, 0), np.maximum(room, 0.01))).astype(int).tolist()
        page.paste(pixels, share, x, y, digits, boxes)
        return page

    def _content(self, number: int) -> tuple[Picture, NDArray[np.int64], NDArray[np.float32]]:
        """A scene without its padding."""
        left, top, right, bottom = self._data.content[number]
        digits, boxes = self._data.digits(number)
        return self._pixels[number, top:bottom, left:right], digits, boxes - np.array([left, top] * 2, np.float32)


class Page:
    """A square picture in the making."""

    def __init__(self, side: int, dice: Dice) -> None:
        self._dice = dice
        self.pixels: Picture = np.full((side, side, 3), PAD, np.uint8)
        self.digits: list[NDArray[np.int64]] = []
        self.boxes: list[NDArray[np.float32]] = []
        self.whole: list[NDArray[np.bool_]] = []

    def paste(
        self,
        pixels: Picture,
        share: float,
        x: int,
        y: int,
        digits: NDArray[np.int64],
        boxes: NDArray[np.float32],
        stretch: float = 1.0,
    ) -> None:
        """Put a picture, `share` times as large, `stretch` times as wide again and in other colours, with its corner
        at (x, y), perhaps outside."""
        side = len(self.pixels)
        if share != 1 or stretch != 1:
            size = (max(1, round(pixels.shape[1] * share * stretch)), max(1, round(pixels.shape[0] * share)))
            way = cv2.INTER_AREA if share < 1 else cv2.INTER_LINEAR
            boxes = boxes * np.array([size[0] / pixels.shape[1], size[1] / pixels.shape[0]] * 2, np.float32)
            pixels = cv2.resize(pixels, size, interpolation=way)
        part = pixels[max(0, -y) : side - y, max(0, -x) : side - x]
        left, top = max(0, x), max(0, y)
        self.pixels[top : top + part.shape[0], left : left + part.shape[1]] = _varied(part, self._dice)
        boxes = boxes + np.array([x, y] * 2, np.float32)
        inside = boxes.clip(0, side)
        seen = _areas(inside) / _areas(boxes)
        self.digits.append(digits[seen >= GONE])
        self.boxes.append(inside[seen >= GONE])
        self.whole.append(seen[seen >= GONE] >= WHOLE)


def _tensors(pages: list[Page]) -> tuple[Tensor, Truth]:
    pixels = torch.from_numpy(np.stack([page.pixels for page in pages]))
    many = [sum(map(len, page.digits)) for page in pages]
    boxes = np.concatenate([boxes for page in pages for boxes in page.boxes])
    truth = Truth(
        torch.from_numpy(np.repeat(np.arange(len(pages)), many)),
        torch.from_numpy(np.concatenate([digits for page in pages for digits in page.digits])),
        torch.from_numpy(wide(boxes, NARROWEST, pixels.shape[1])),
        torch.from_numpy(np.concatenate([whole for page in pages for whole in page.whole])),
    )
    # NHWC in memory, as the pictures come: what PyTorch calls channels last.
    return pixels.permute(0, 3, 1, 2).float().div_(255), truth


def _varied(pixels: Picture, dice: Dice) -> Picture:
    """Digits stay digits in other colours: negative, channels exchanged, brighter or darker."""
    level = np.arange(256, dtype=np.float32)
    if dice.random() < 0.2:
        level = 255 - level
    if dice.random() < 0.4:
        level = level * dice.uniform(0.7, 1.3) + dice.uniform(-25, 25)
    if dice.random() < 0.3:
        pixels = np.ascontiguousarray(pixels[:, :, dice.permutation(3)])
    return cv2.LUT(pixels, level.clip(0, 255).astype(np.uint8))


def _between(limits: tuple[float, float], dice: Dice) -> float:
    return float(np.exp(dice.uniform(*np.log(limits))))


def _least(boxes: NDArray[np.float32]) -> float:
    return SMALLEST_PX / float((boxes[:, 3] - boxes[:, 1]).min()) if len(boxes) else 0.0


def _areas(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(axis=1))
