"""Boxes that stand in a line with surer ones, such as the digits of a display: of them less need be sure.

Two thresholds with hysteresis, as of edges in Canny, A Computational Approach to Edge Detection (1986), with neighbours
in a line of writing instead of along an edge.
"""

from __future__ import annotations

import numpy as np

from engines.engine import Array

TALLER = 1.35
"""Neighbours differ in height by this factor at most."""
ASIDE = 0.4
"""Share of the taller one's height by which their middles differ at most: a line may be turned a little."""
AWAY = 1.2
"""Share of that height that lies between them at most."""


def beside(corners: Array, scores: Array, threshold: float) -> Array:
    """Which boxes count, (n,) bool: those that reach the `threshold`, and all that neighbours join to one of them.

    `corners` (n, 4) left, top, right, bottom, without duplicates; `scores` (n,), 0 to 1.
    """
    counts: Array = scores >= threshold
    if counts.all() or not counts.any():
        return counts
    near = _neighbours(corners)
    reached = counts
    while reached.any():
        reached = near[reached].any(axis=0) & ~counts
        counts = counts | reached
    return counts


def _neighbours(corners: Array) -> Array:
    """(n, n) bool: which stand beside each other."""
    left, top, right, bottom = corners.T
    tall, middle = bottom - top, (top + bottom) / 2
    taller, smaller = np.maximum.outer(tall, tall), np.minimum.outer(tall, tall)
    between = np.maximum.outer(left, left) - np.minimum.outer(right, right)
    alike = taller <= TALLER * smaller
    near: Array = alike & (np.abs(np.subtract.outer(middle, middle)) <= ASIDE * taller) & (between <= AWAY * taller)
    return near
