"""Whether a person could still read what a camera made of digits.

Without this, light, blur and noise that are each harmless together make scenes that nobody could read, and both the
training and the judgement would ask for guesses.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.ink import Picture

LEAST_CONTRAST = 4.5
"""Of 255: how strongly the drawing must vary in the shot (standard deviation). Found by eye on 4,000 digits, sorted."""
LEAST_LIKENESS = 0.7
"""Correlation of the drawing with the shot, slow shades aside: less, and noise or glare has taken the digit's place."""
_AROUND = 0.15
"""Share of a digit's height by which is looked beyond its box."""
_EYE = 0.04
"""Share of a digit's height over which an eye takes the mean of noise."""


def readable(drawn: Picture, shot: Picture, boxes: NDArray[np.float32]) -> bool:
    """Whether every digit of the picture as it was `drawn` is there in the `shot`; `boxes` (n, 4) in its pixels."""
    return all(_visible(drawn, shot, box) for box in boxes)


def _visible(drawn: Picture, shot: Picture, box: NDArray[np.float32]) -> bool:
    left, top, right, bottom = (float(side) for side in box)
    tall = bottom - top
    around = tall * _AROUND
    rows = slice(max(0, int(top - around)), int(np.ceil(bottom + around)))
    columns = slice(max(0, int(left - around)), int(np.ceil(right + around)))
    wanted, seen = (_without_shades(cv2.GaussianBlur(picture[rows, columns], (0, 0), max(0.3, tall * _EYE)))
                    for picture in (drawn, shot))  # fmt: skip
    together = abs(float((wanted * seen).mean()))
    strength = float(wanted.std()) + 1e-3
    return together / strength >= LEAST_CONTRAST and together / strength >= LEAST_LIKENESS * float(seen.std())


def _without_shades(pixels: Picture) -> NDArray[np.float32]:
    """(pixels, 3), every channel less the surface of second degree that fits it best."""
    height, width = pixels.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    shades = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], axis=-1).reshape(-1, 6)
    basis, _ = np.linalg.qr(shades)
    flat = pixels.reshape(-1, 3).astype(np.float32)
    basis = basis.astype(np.float32)
    rest: NDArray[np.float32] = flat - basis @ (basis.T @ flat)
    return rest
