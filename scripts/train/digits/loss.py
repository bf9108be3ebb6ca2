"""Which cell answers for which digit, and how wrong its answer is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

HEIGHTS_PX = {4: (0.0, 26.0), 8: (18.0, 64.0), 16: (46.0, 1e9)}
"""By stride: how tall the digits are that a grid answers for. Where two overlap, both do."""
UNREADABLE_PX = 6.5
"""Digits that are less tall in this picture are neither wanted nor wrong."""
_REACH = 0.22
"""Share of a digit's width and height, either way of its centre, in which cells answer for it."""
_LEAST_SCORE = 0.4
"""That a cell which answers for a digit should give, however bad its box still is."""
_BOX_WEIGHT, _NAME_WEIGHT = 2.0, 0.5


@dataclass(frozen=True, slots=True)
class Truth:
    """The digits of a batch."""

    picture: Tensor
    """(n,) int64: number of the picture in the batch."""
    digit: Tensor
    """(n,) int64."""
    boxes: Tensor
    """(n, 4) left, top, right, bottom in input pixels."""


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


def loss(answers: Tensor, truth: Truth, points: Tensor, strides: Tensor) -> Wrong:
    """Of a batch; `answers` (pictures, 14, cells) as the network gives them, `points` and `strides` of its cells.

    Boxes: generalised IoU (Rezatofighi et al. 2019). Classes: quality focal loss (Li et al. 2020): a cell should score
    as high as its box is good. Softmax cross-entropy on top, where a digit is, for which of the ten it is: without it,
    telling digits apart is learnt much later than finding them.
    """
    assigned = _assign(truth, points, strides, answers.shape[0])
    logits = answers[:, 4:]
    target = torch.zeros_like(logits)
    if len(assigned.cell):
        sides = answers[assigned.picture, :4, assigned.cell]
        at = points[assigned.cell]
        found = torch.cat([at - sides[:, :2], at + sides[:, 2:]], 1)
        iou, giou = _overlaps(found, assigned.boxes)
        quality = _LEAST_SCORE + (1 - _LEAST_SCORE) * iou.detach().clamp(min=0)
        target[assigned.picture, assigned.digit, assigned.cell] = quality
        box_loss = ((1 - giou) * quality).sum() * _BOX_WEIGHT
        names = logits[assigned.picture, :, assigned.cell]
        name_loss = functional.cross_entropy(names, assigned.digit, reduction="sum") * _NAME_WEIGHT
        named = names.argmax(1) == assigned.digit
        overlap, right = float(iou.detach().mean()), float(named.float().mean())
    else:
        box_loss = name_loss = answers[:, :4].sum() * 0
        overlap, right = 0.0, 0.0
    score = logits.sigmoid()
    each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none") * (target - score).abs() ** 2
    each = each.masked_fill(assigned.ignored[:, None], 0)
    return Wrong((each.sum() + box_loss + name_loss) / max(1, len(assigned.cell)), overlap, right)


def _assign(truth: Truth, points: Tensor, strides: Tensor, pictures: int) -> _Assigned:
    """Cells near a digit's centre on the grids for its height; of two digits the nearer one gets a cell."""
    size = truth.boxes[:, 2:] - truth.boxes[:, :2]
    middle = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2
    tall = size[:, 1]
    away = (points[None] - middle[:, None]).abs()
    reach = torch.maximum(
        torch.minimum(size[:, None] * _REACH, strides[None, :, None] * 1.6), strides[None, :, None] * 0.505
    )
    inside = (away <= reach).all(2)
    for stride, (least, most) in HEIGHTS_PX.items():
        wrong_grid = (tall < least) | (tall >= most)
        inside &= ~(wrong_grid[:, None] & (strides == stride)[None])
    readable = tall >= UNREADABLE_PX
    ignored = torch.zeros(pictures, len(points), dtype=torch.bool)
    covered = (away <= size[:, None] / 2).all(2)
    for number in torch.nonzero(~readable).flatten().tolist():
        ignored[truth.picture[number]] |= covered[number]
    inside &= readable[:, None]
    digit, cell = torch.nonzero(inside, as_tuple=True)
    distance = (away[digit, cell] / size[digit].clamp(min=1)).sum(1)
    # The farthest first: where two digits want one cell, the nearer one is written last and stays.
    order = torch.argsort(distance, descending=True)
    owner = torch.full((pictures, len(points)), -1)
    for number in order.tolist() if _contested(truth.picture[digit], cell) else []:
        owner[truth.picture[digit[number]], cell[number]] = digit[number]
    if len(digit) and not _contested(truth.picture[digit], cell):
        owner[truth.picture[digit], cell] = digit
    picture, cells = torch.nonzero(owner >= 0, as_tuple=True)
    owners = owner[picture, cells]
    return _Assigned(picture, cells, truth.digit[owners], truth.boxes[owners], ignored)


def _contested(picture: Tensor, cell: Tensor) -> bool:
    return len(torch.unique(picture * 1_000_000 + cell)) < len(cell)


def _overlaps(found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of boxes, row by row."""
    low, high = torch.maximum(found[:, :2], wanted[:, :2]), torch.minimum(found[:, 2:], wanted[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    union = (found[:, 2:] - found[:, :2]).prod(1) + (wanted[:, 2:] - wanted[:, :2]).prod(1) - shared
    iou = shared / union.clamp(min=1e-6)
    hull = (torch.maximum(found[:, 2:], wanted[:, 2:]) - torch.minimum(found[:, :2], wanted[:, :2])).prod(1)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)
