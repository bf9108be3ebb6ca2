"""The detector: a small convolutional network that says, for every cell of three grids, which digit is centred there.

Anchor-free, one stage. Features at 1/4, 1/8, 1/16 and 1/32 of the input; what is known coarsely flows back to the finer
grids. Plain 3 x 3 convolutions and ReLU: the quickest there is on small processors, and kind to INT8.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (4, 8, 16)
CLASSES = 10
_PRIOR = 0.01
"""What every cell believes before training: with it, the many empty cells do not drown the few others."""


def _conv(inward: int, outward: int, kernel: int = 3, stride: int = 1, apart: int = 1) -> nn.Sequential:
    """`apart`: how many cells lie from one weight to the next; 2 sees twice as far."""
    reach = kernel // 2 * apart
    convolution = nn.Conv2d(inward, outward, kernel, stride, reach, dilation=apart, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outward), nn.ReLU(True))


class _Residual(nn.Module):
    def __init__(self, channels: int, inner: int, apart: int = 1) -> None:
        super().__init__()
        self.first, self.second = _conv(channels, inner, apart=apart), _conv(inner, channels, apart=apart)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.second(self.first(x))
        return result


class Detector(nn.Module):
    """(n, 3, height, width), BGR of 0 to 1, to (n, 14, cells): distances to the four sides in pixels, ten logits."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(_conv(3, 16, 3, 2), _conv(16, 32, 3, 2), _Residual(32, 16))
        self.medium = nn.Sequential(_conv(32, 64, 3, 2), _Residual(64, 32))
        self.coarse = nn.Sequential(_conv(64, 96, 3, 2), _Residual(96, 32))
        self.coarsest = nn.Sequential(_conv(96, 96, 3, 2), _Residual(96, 32), _Residual(96, 32, apart=2))
        self.merge_coarse = nn.Sequential(_conv(192, 64, 1), _Residual(64, 32))
        self.merge_medium = nn.Sequential(_conv(128, 48, 1), _Residual(48, 32))
        self.merge_fine = nn.Sequential(_conv(80, 32, 1), _Residual(32, 16))
        self.heads = nn.ModuleList(nn.Conv2d(channels, 4 + CLASSES, 1) for channels in (32, 48, 64))
        for head in self.heads:
            assert isinstance(head, nn.Conv2d)
            assert head.bias is not None
            nn.init.zeros_(head.bias)
            nn.init.constant_(head.bias[4:], -math.log((1 - _PRIOR) / _PRIOR))

    def forward(self, picture: Tensor) -> Tensor:
        fine = self.fine(picture)
        medium = self.medium(fine)
        coarse = self.coarse(medium)
        coarse = self.merge_coarse(torch.cat([_larger(self.coarsest(coarse)), coarse], 1))
        medium = self.merge_medium(torch.cat([_larger(coarse), medium], 1))
        fine = self.merge_fine(torch.cat([_larger(medium), fine], 1))
        told = []
        for stride, head, features in zip(STRIDES, self.heads, (fine, medium, coarse), strict=True):
            answer = head(features)
            sides = functional.softplus(answer[:, :4]) * (2.0 * stride)
            told.append(torch.cat([sides, answer[:, 4:]], 1).flatten(2))
        return torch.cat(told, 2)


def _larger(features: Tensor) -> Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="nearest")


@functools.cache
def centres(height: int, width: int) -> tuple[Tensor, Tensor]:
    """(cells, 2) x and y of every cell's centre in input pixels, and (cells,) its stride, in the network's order."""
    points, strides = [], []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride, dtype=torch.float32),
            torch.arange(width // stride, dtype=torch.float32),
            indexing="ij",
        )
        points.append((torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((len(points[-1]),), float(stride)))
    return torch.cat(points), torch.cat(strides)


class Exported(nn.Module):
    """The detector as the appliance's decoder `yolo-v8` reads it: (n, 14, cells) with centre, size, ten scores."""

    def __init__(self, detector: Detector, height: int, width: int) -> None:
        super().__init__()
        self.detector = detector
        points, _ = centres(height, width)
        self.register_buffer("points", points.T[None].contiguous())

    def forward(self, picture: Tensor) -> Tensor:
        answer = self.detector(picture)
        low, high = answer[:, :2], answer[:, 2:4]
        middle = self.points + (high - low) / 2
        return torch.cat([middle, low + high, answer[:, 4:].sigmoid()], 1)
