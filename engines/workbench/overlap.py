"""How much boxes overlap, and what belongs to them: masks, points, turned corners."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.engine import Array
from engines.predictions import Detection, Mask, Point, Pose

_RASTER_PX = 256
"""Masks are compared on a grid whose longer side is so long, whatever the size of the picture."""
_POINT_SPREAD = 0.1
"""In sizes of the box: a point that is off by so much counts three fifths of one in place."""


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


def dress_overlap(one: Detection, other: Detection) -> float:
    """0 to 1: the least of the overlaps of what both bring beside their upright boxes; 1 where they bring nothing."""
    found = [1.0]
    if one.mask is not None and other.mask is not None:
        found.append(_masks(one.mask, other.mask))
    if one.corners is not None and other.corners is not None:
        found.append(_corners(one.corners, other.corners))
    if one.pose is not None and other.pose is not None:
        found.append(_poses(one.pose, other.pose, float(areas(boxes_of([one]))[0])))
    return min(found)


def _masks(one: Mask, other: Mask) -> float:
    """Intersection over union."""
    import cv2

    outlines = [[np.array(each) for each in mask.polygons] for mask in (one, other)]
    points = np.concatenate([*outlines[0], *outlines[1]])
    corner = points.min(axis=0)
    gain = _RASTER_PX / max(float((points.max(axis=0) - corner).max()), 1e-6)
    drawn = [np.zeros((_RASTER_PX + 1, _RASTER_PX + 1), np.uint8) for _ in outlines]
    for grid, parts in zip(drawn, outlines, strict=True):
        for part in parts:  # one by one: together, parts that overlap would cut holes into each other
            cv2.fillPoly(grid, [np.round((part - corner) * gain).astype(np.int32)], 1)
    return int((drawn[0] & drawn[1]).sum()) / int((drawn[0] | drawn[1]).sum())


def _corners(one: Sequence[Point], other: Sequence[Point]) -> float:
    """Intersection over union of two turned boxes."""
    import cv2

    first, second = (np.array(each, np.float32) for each in (one, other))
    both, _ = cv2.intersectConvexConvex(first, second)
    either = cv2.contourArea(first) + cv2.contourArea(second) - both
    return both / either if either > 0 else 0.0


def _poses(one: Pose, other: Pose, area: float) -> float:
    """Object keypoint similarity as COCO defines it, with the same spread for every point, of those that either sees;
    1 where there is none, 0 where one has more points than the other."""
    if len(one.points) != len(other.points):
        return 0.0
    pairs = [pair for pair in zip(one.points, other.points, strict=True) if max(each.score for each in pair) >= 0.5]
    far = np.array([(a.x - b.x) ** 2 + (a.y - b.y) ** 2 for a, b in pairs])
    return float(np.exp(-far / (2 * max(area, 1e-6) * _POINT_SPREAD**2)).mean()) if pairs else 1.0
