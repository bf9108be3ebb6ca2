"""Synthetic moving scenes that need no camera and whose right answer is known: what all of them have in common.

Something happens in front of a dark, softly textured, slowly drifting background. Everything in a picture follows from
the seed and the number of the picture.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from capture.opencv import load_opencv
from capture.options import VideoOptions
from capture.pace import Pace
from capture.samples import Frame, Pixels, Stamp
from capture.video import VideoSource

_DRIFT_PX = 32


class Scene(VideoSource):
    """640x360 at 30/s unless the options ask for something else; a subclass paints what happens."""

    kind: ClassVar[str]
    """As in `scene:shapes`."""
    smallest: ClassVar[tuple[int, int]]
    """Width and height below which it is refused."""

    def __init__(self, name: str, options: VideoOptions) -> None:
        super().__init__(name, options, live=options.realtime)
        self._width, self._height = options.width or 640, options.height or 360
        width, height = self.smallest
        if self._width < width or self._height < height:
            asked = f"{self._width}x{self._height}"
            raise ValueError(f"scene:{self.kind}: {asked} is too small: at least {width}x{height}")
        self._fps = options.fps or 30.0
        self._background: Pixels = np.empty((0, 0, 3), np.uint8)
        self._noise: Pixels = self._background

    @abstractmethod
    def _paint(self, cv2: Any, pixels: Pixels, seq: int) -> None:
        """Draw what happens in picture `seq` onto the background."""

    def _open(self) -> str:
        cv2 = load_opencv()
        random = np.random.default_rng(self._options.seed)
        size = (self._height + 2 * _DRIFT_PX, self._width + 2 * _DRIFT_PX)
        self._background = _texture(cv2, random, size)
        self._noise = np.clip(random.normal(6, 2.5, (*size, 3)), 0, 14).astype(np.uint8)
        pace = f"{self._fps:g}/s" if self.live else "as fast as possible"
        return f"{self._width}x{self._height} synthetic {self.kind}, seed {self._options.seed}, {pace}"

    def _frames(self) -> Iterator[Frame]:
        pace = Pace(self._closing)
        seq = 0
        while not self.live or pace.wait_until(seq / self._fps):
            stamp = Stamp.now()
            yield self._frame(seq, stamp, self.render(seq))
            seq += 1

    def render(self, seq: int) -> Pixels:
        """Picture `seq`, uint8 (height, width, 3) BGR, the caller's own. Only while the source is open."""
        cv2 = load_opencv()
        angle = 0.3 * seq / self._fps
        pixels = self._window(self._background, math.sin(angle), math.cos(0.7 * angle)).copy()
        self._paint(cv2, pixels, seq)
        random = np.random.default_rng((self._options.seed, seq)).uniform(-1, 1, 2)
        return np.asarray(cv2.add(pixels, self._window(self._noise, *random), dst=pixels), np.uint8)

    def _window(self, larger: Pixels, right: float, down: float) -> Pixels:
        """A picture-sized view into a larger one, moved by -1 to 1 of the drift."""
        x, y = round(_DRIFT_PX * (1 + right)), round(_DRIFT_PX * (1 + down))
        return larger[y : y + self._height, x : x + self._width]


def _texture(cv2: Any, random: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """Dark clouds, nearly grey: blurred noise in two sizes."""
    height, width = size
    clouds = np.zeros((height, width), np.float32)
    for cells in (6, 24):
        coarse = random.uniform(-1, 1, (cells, cells * 2)).astype(np.float32)
        clouds += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * (6 / cells + 0.2)
    grey = 34 + 11 * np.clip(clouds, -1.5, 1.5)
    tint = np.array([1.1, 1.0, 0.95], np.float32)
    return np.asarray(grey[:, :, np.newaxis] * tint, np.uint8)
