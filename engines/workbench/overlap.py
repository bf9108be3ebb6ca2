"""How much boxes overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.engine import Array
from engines.predictions import Detection


def overlaps(some: Array, others: Array) -> Array:
    """Intersection over union of every box of (n, 4) with every one of (m, 4), as (n, m); 0 where both are empty."""
    least = np.maximum(some[:, np.newaxis, :2], others[np.newaxis, :, :2])
    most = np.minimum(some[:, np.newaxis, 2:], others[np.newaxis, :, 2:])
    both = np.prod(np.maximum(most - least, 0), axis=2)
    either = areas(some)[:, np.newaxis] + areas(others)[np.newaxis] - both
    return np.asarray(np.divide(both, either, out=np.zeros_like(both), where=either > 0))


def inside(boxes: Array, region: Array) -> Array:
    """The share of every box of (n, 4) that lies in one region (4,), as (n,)."""
    least, most = np.maximum(boxes[:, :2], region[:2]), np.minimum(boxes[:, 2:], region[2:])
    both = np.prod(np.maximum(most - least, 0), axis=1)
    return np.asarray(both / np.maximum(areas(boxes), 1e-12))


def areas(boxes: Array) -> Array:
    """Of boxes (n, 4), never negative."""
    return np.asarray(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1))


def boxes_of(detections: Sequence[Detection]) -> Array:
    """(n, 4) float64."""
    return np.array([each.box for each in detections], np.float64).reshape(-1, 4)
