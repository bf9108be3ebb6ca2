"""Which parts of a sample a score depends on, found out by hiding parts of it at random.

The masks are RISE's (Petsiuk, Das, Saenko: "RISE: Randomized Input Sampling for Explanation of Black-box Models",
2018): a coarse random grid, enlarged smoothly and shifted. RISE averages the masks, weighted by the score; here each
place gets the slope of the score over its visibility (the covariance of both, over the variance of the visibility),
which is the same up to a constant, needs fewer masks, and has a meaning: how much of the score this place carries.
No gradients are needed, so any engine will do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engines.engine import Array
from engines.workbench.work import Tell, silent

STEPS = 20
"""Of the curves of deletion and insertion."""


@dataclass(frozen=True, slots=True)
class Hiding:
    """How parts are hidden."""

    masks: int = 1000
    cells: int = 8
    """Along the shorter side; about so large a part is hidden or shown as one."""
    shown: float = 0.5
    """Probability that a cell is visible."""
    seed: int = 0


def saliency(
    shape: tuple[int, int],
    score: Callable[[Array], float],
    hiding: Hiding,
    tell: Tell = silent,
    grid: tuple[int, int] | None = None,
) -> Array:
    """float64 of `shape`: what every place adds to the score, negative where hiding it helps.

    `score` is given float32 masks of `shape`, 1 where the sample is visible. `grid`: rows and columns of cells, instead
    of about square ones.
    """
    random = np.random.default_rng(hiding.seed)
    grid = grid or _square_cells(shape, hiding.cells)
    products, masks, squares, scores = np.zeros(shape), np.zeros(shape), np.zeros(shape), 0.0
    for number in range(hiding.masks):
        tell("hiding parts", number, hiding.masks)
        mask = random_mask(random, shape, grid, hiding.shown)
        value = score(mask)
        products += value * mask
        masks += mask
        squares += mask.astype(np.float64) ** 2
        scores += value
    tell("hiding parts", hiding.masks, hiding.masks)
    count = hiding.masks
    covariance = products / count - (scores / count) * (masks / count)
    variance = squares / count - (masks / count) ** 2
    return np.asarray(covariance / np.maximum(variance, 1e-6))


def _square_cells(shape: tuple[int, int], cells: int) -> tuple[int, int]:
    height, width = shape
    across = min(height, width) / cells
    return max(round(height / across), 1), max(round(width / across), 1)


def random_mask(random: np.random.Generator, shape: tuple[int, int], grid: tuple[int, int], shown: float) -> Array:
    """float32 of `shape`, 0 to 1: a grid of zeros and ones, enlarged smoothly and shifted by up to a cell."""
    import cv2

    cell = (-(-shape[0] // grid[0]), -(-shape[1] // grid[1]))
    coarse = (random.random((grid[0] + 1, grid[1] + 1)) < shown).astype(np.float32)
    size = ((grid[1] + 1) * cell[1], (grid[0] + 1) * cell[0])
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)
    down, right = random.integers(0, cell[0] + 1), random.integers(0, cell[1] + 1)
    return np.ascontiguousarray(fine[down : down + shape[0], right : right + shape[1]])


@dataclass(frozen=True, slots=True)
class Curves:
    """How the score falls when the most important places are hidden first, and rises when they are shown first."""

    deletion: tuple[float, ...]
    insertion: tuple[float, ...]

    @property
    def deletion_mean(self) -> float:
        """The lower, the better the map found what matters."""
        return float(np.mean(self.deletion))

    @property
    def insertion_mean(self) -> float:
        """The higher, the better."""
        return float(np.mean(self.insertion))


def curves(heat: Array, score: Callable[[Array], float]) -> Curves:
    """RISE's two measures of a map, over shares of 0 to 1 of its area."""
    order = np.argsort(-heat, axis=None, kind="stable")
    deletion, insertion = [], []
    for step in range(STEPS + 1):
        first = order[: round(step / STEPS * heat.size)]
        mask = np.ones(heat.size, np.float32)
        mask[first] = 0
        deletion.append(score(mask.reshape(heat.shape)))
        insertion.append(score((1 - mask).reshape(heat.shape)))
    return Curves(tuple(deletion), tuple(insertion))
