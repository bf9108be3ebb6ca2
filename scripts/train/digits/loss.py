"""Which cell answers for which digit, and how wrong its answer is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from digits.network import centres

HEIGHTS_PX = {4: (0.0, 26.0), 8: (18.0, 64.0), 16: (46.0, 1e9)}
"""By stride: how tall the digits are that a grid answers for. Where two overlap, both do."""
UNREADABLE_PX = 6.5
"""Digits that are less tall in this picture are neither wanted nor wrong."""
_REACH = 0.22
"""Share of a digit's width and height, either way of its centre, in which cells answer for it."""
_LEAST_REACH = 0.75
"""In cells, either way of a digit's centre: as far at least cells answer for it."""
_LEAST_SCORE = 0.8
"""That a cell which answers for a digit should give, however bad its box still is."""
_EVENLY = 0.5
"""0: every digit's cells count alike; 1: every picture's, however many digits are on it."""
_BOX_WEIGHT = 2.0


@dataclass(frozen=True, slots=True)
class Truth:
    """The digits of a batch."""

    picture: Tensor
    """(n,) int64: number of the picture in the batch."""
    digit: Tensor
    """(n,) int64."""
    boxes: Tensor
    """(n, 4) left, top, right, bottom in input pixels."""
    whole: Tensor
    """(n,) bool; false: cut off so far that it is neither wanted nor wrong."""


@dataclass(frozen=True, slots=True)
class _Assigned:
    picture: Tensor
    cell: Tensor
    digit: Tensor
    boxes: Tensor
    ignored: Tensor
    """(pictures, cells) bool: neither wanted nor wrong."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """How wrong a network is on a batch."""

    loss: Tensor
    overlap: float
    """Mean IoU of the boxes of cells that answer for a digit."""
    named: float
    """Share of those cells whose highest score is the digit's."""


def loss(answers: Tensor, truth: Truth, side: int) -> Wrong:
    """Of a batch; `answers` (pictures, 14, cells) as the network gives them for pictures of `side` by `side` pixels.

    Boxes: generalised IoU (Rezatofighi et al. 2019). Classes: quality focal loss (Li et al. 2020): a cell should score
    as high as its box is good. Softmax cross-entropy on top, where a digit is, for which of the ten it is: without it,
    telling digits apart is learnt much later than finding them.
    """
    assigned = _assign(truth, side, answers.shape[0])
    logits = answers[:, 4:]
    target = torch.zeros_like(logits)
    per_picture = torch.bincount(assigned.picture, minlength=len(answers)).clamp(min=1)
    weight = (len(assigned.cell) / len(answers) / per_picture[assigned.picture]) ** _EVENLY
    if len(assigned.cell):
        sides = answers[assigned.picture, :4, assigned.cell]
        at = centres(side, side)[0][assigned.cell]
        found = torch.cat([at - sides[:, :2], at + sides[:, 2:]], 1)
        iou, giou = _overlaps(found, assigned.boxes)
        quality = _LEAST_SCORE + (1 - _LEAST_SCORE) * iou.detach().clamp(min=0)
        target[assigned.picture, assigned.digit, assigned.cell] = quality
        box_loss = ((1 - giou) * quality * weight).sum() * _BOX_WEIGHT
        names = logits[assigned.picture, :, assigned.cell]
        name_loss = (functional.cross_entropy(names, assigned.digit, reduction="none") * weight).sum()
        named = names.argmax(1) == assigned.digit
        overlap, right = float(iou.detach().mean()), float(named.float().mean())
    else:
        box_loss = name_loss = answers[:, :4].sum() * 0
        overlap, right = 0.0, 0.0
    away = (target - logits.sigmoid()).square()
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * away
    each = each.masked_fill(assigned.ignored[:, None], 0)
    found_loss = each.sum() + (each[assigned.picture, :, assigned.cell] * (weight - 1)[:, None]).sum()
    return Wrong((found_loss + box_loss + name_loss) / max(1.0, float(weight.sum())), overlap, right)


def _assign(truth: Truth, side: int, pictures: int) -> _Assigned:
    """Cells near a digit's centre on the grids for its height; of two digits the nearer one gets a cell."""
    size = truth.boxes[:, 2:] - truth.boxes[:, :2]
    middle = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2
    tall = size[:, 1]
    readable = (tall >= UNREADABLE_PX) & truth.whole
    points, _ = centres(side, side)
    ignored = torch.zeros(pictures, len(points), dtype=torch.bool)
    digits, cells, first = [], [], 0
    for stride, (least, most) in HEIGHTS_PX.items():
        reach = (size * _REACH).clamp(max=stride * 1.6).clamp(min=stride * _LEAST_REACH)
        wanted = readable & (tall >= least) & (tall < most)
        digit, cell = _covered(middle, reach, wanted, stride, side)
        digits.append(digit)
        cells.append(cell + first)
        digit, cell = _covered(middle, size / 2, ~readable, stride, side)
        ignored[truth.picture[digit], cell + first] = True
        first += (side // stride) ** 2
    digit, cell = torch.cat(digits), torch.cat(cells)
    distance = ((points[cell] - middle[digit]).abs() / size[digit].clamp(min=1)).sum(1)
    nearest = _first_of_each(truth.picture[digit] * len(points) + cell, distance)
    digit, cell = digit[nearest], cell[nearest]
    return _Assigned(truth.picture[digit], cell, truth.digit[digit], truth.boxes[digit], ignored)


def _covered(middle: Tensor, reach: Tensor, which: Tensor, stride: int, side: int) -> tuple[Tensor, Tensor]:
    """Of a grid, the cells whose centre is not farther than `reach` (n, 2) from a `middle`: numbers of both."""
    number = torch.nonzero(which).flatten()
    at = (torch.arange(side // stride) + 0.5) * stride
    column, row = ((at - middle[number, axis, None]).abs() <= reach[number, axis, None] for axis in (0, 1))
    found, y, x = torch.nonzero(row[:, :, None] & column[:, None], as_tuple=True)
    return number[found], y * (side // stride) + x


def _first_of_each(key: Tensor, rank: Tensor) -> Tensor:
    """Of all with one key, the place of the one with the lowest rank; in the order of the keys."""
    order = torch.argsort(rank, stable=True)
    order = order[torch.argsort(key[order], stable=True)]
    key = key[order]
    first = torch.ones(len(key), dtype=torch.bool)
    first[1:] = key[1:] != key[:-1]
    return order[first]


def _overlaps(found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of boxes, row by row."""
    low, high = torch.maximum(found[:, :2], wanted[:, :2]), torch.minimum(found[:, 2:], wanted[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = (found[:, 2:] - found[:, :2]).prod(1) + (wanted[:, 2:] - wanted[:, :2]).prod(1) - shared
    iou = shared / union.clamp(min=1e-6)
    hull = (torch.maximum(found[:, 2:], wanted[:, 2:]) - torch.minimum(found[:, :2], wanted[:, :2])).prod(1)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)
