"""Boxes that are turned: centre, size and an angle in radians, clockwise in the picture.

How much two of them overlap is told as Ultralytics does, by ProbIoU (Llerena, Zeni, Kristen, Jung: "Gaussian Bounding
Boxes and Probabilistic Intersection-over-Union for Object Detection", 2021): each box stands for a normal distribution,
and one minus the Hellinger distance of both is the overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from engines.decode.boxes import Candidates
from engines.engine import Array
from engines.placement import Placement
from engines.predictions import Detection

_EPSILON = 1e-7
_DIGITS = 2
_BLOCK = 1024
"""So many boxes are compared with all others at once."""


def turn(
    detections: Sequence[Detection], found: Candidates, outputs: Mapping[str, Array], placement: Placement
) -> tuple[Detection, ...]:
    """Detections with the corners of their turned boxes, and the upright boxes around these."""
    points = placement.points_to_picture(corner_points(found))
    upright = np.concatenate((points.min(axis=1), points.max(axis=1)), axis=1)
    limits = (placement.picture_width, placement.picture_height) * 2
    boxes = np.round(np.clip(upright, 0, limits), _DIGITS).tolist()
    corners = np.round(points, _DIGITS).tolist()
    return tuple(
        replace(detection, box=(box[0], box[1], box[2], box[3]), corners=((*a,), (*b,), (*c,), (*d,)))
        for detection, box, (a, b, c, d) in zip(detections, boxes, corners, strict=True)
    )


def corner_points(found: Candidates) -> Array:
    """(n, 4, 2) float64 in input pixels, in order around the box."""
    centres, sizes, angles = _parts(found)
    cosine, sine = np.cos(angles), np.sin(angles)
    along = np.stack((sizes[:, 0] * cosine, sizes[:, 0] * sine), axis=1) / 2
    aside = np.stack((-sizes[:, 1] * sine, sizes[:, 1] * cosine), axis=1) / 2
    signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    return np.stack([centres + one * along + other * aside for one, other in signs], axis=1)


def suppress_turned(found: Candidates, classes: Array | None, iou: float) -> Array:
    """Indices of the boxes that no better one of their class overlaps by more than `iou`, the best first.

    A box that is itself overlapped overlaps others all the same ("fast NMS", Bolya et al., 2019), as in Ultralytics.
    """
    order = np.argsort(-found.scores, kind="stable")
    centres, sizes, angles = (part[order] for part in _parts(found))
    kinds = np.zeros(len(order)) if classes is None else classes[order]
    spreads = _spreads(sizes, angles)
    stays = np.ones(len(order), bool)
    for first in range(0, len(order), _BLOCK):
        rows = slice(first, first + _BLOCK)
        shared = _prob_iou(centres, spreads, rows)
        later = np.arange(len(order)) > np.arange(len(order))[rows, np.newaxis]
        stays &= ~((shared > iou) & later & (kinds == kinds[rows, np.newaxis])).any(axis=0)
    return np.asarray(order[stays])


def _parts(found: Candidates) -> tuple[Array, Array, Array]:
    """Centres (n, 2), sizes (n, 2), angles (n,), float64."""
    assert found.extras is not None, "families of turned boxes read an angle"
    corners = found.corners.astype(np.float64)
    return (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2], found.extras[:, 0].astype(np.float64)


def _spreads(sizes: Array, angles: Array) -> tuple[Array, Array, Array]:
    """The covariance of the normal distribution of each box: across, down, and both."""
    across, down = sizes[:, 0] ** 2 / 12, sizes[:, 1] ** 2 / 12
    cosine, sine = np.cos(angles), np.sin(angles)
    return (
        across * cosine**2 + down * sine**2,
        across * sine**2 + down * cosine**2,
        (across - down) * cosine * sine,
    )


def _prob_iou(centres: Array, spreads: tuple[Array, Array, Array], rows: slice) -> Array:
    """Overlap of the boxes in `rows` with all boxes."""
    (a1, b1, c1), (a2, b2, c2) = ((each[rows, np.newaxis] for each in spreads), spreads)
    x, y = (centres[rows, np.newaxis, axis] - centres[np.newaxis, :, axis] for axis in (0, 1))
    a, b, c = a1 + a2, b1 + b2, c1 + c2
    both = a * b - c**2
    apart = (a * y**2 + b * x**2) / (both + _EPSILON) / 4 - c * x * y / (both + _EPSILON) / 2
    own = np.maximum(a1 * b1 - c1**2, 0) * np.maximum(a2 * b2 - c2**2, 0)
    unlike = np.log(both / (4 * np.sqrt(own) + _EPSILON) + _EPSILON) / 2
    bhattacharyya = np.clip(apart + unlike, _EPSILON, 100.0)
    return np.asarray(1 - np.sqrt(1 - np.exp(-bhattacharyya) + _EPSILON))
