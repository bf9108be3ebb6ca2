"""The two networks: log-mel bands out of sound, a word out of log-mel bands."""

from __future__ import annotations

import torch
from spoken_digits import spectrogram
from spoken_digits.bank import RATE_HZ
from spoken_digits.scenes import LABELS
from torch import Tensor, nn

SCALE = 0.3
"""Brings log-mel values to about unit spread."""
DEPTH = 10.0
"""What lies further (in natural logarithms of power: 43 dB) below the loudest frame is as good as silent."""
EDGE = 4
"""Silent frames put before and after a window, so that a word that begins with it is heard to begin."""
HEAD = 64
"""Values per 100 ms that the answer is read from."""
BODIES = 2


class LogMel(nn.Module):
    """(batch, samples) to (batch, 1, BANDS, frames); nothing in it is trained."""

    filters: Tensor
    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", torch.from_numpy(spectrogram.filters()))
        self.register_buffer("weights", torch.from_numpy(spectrogram.mel_weights()).unsqueeze(-1))

    def forward(self, sound: Tensor) -> Tensor:
        waves = nn.functional.conv1d(sound.unsqueeze(1), self.filters, stride=spectrogram.STEP)
        squares = waves * waves
        bins = squares.shape[1] // 2
        bands = nn.functional.conv1d(squares[:, :bins] + squares[:, bins:], self.weights)
        return torch.log(bands + spectrogram.FLOOR).unsqueeze(1)

    def quickly(self, sound: Tensor) -> Tensor:
        """The same by Fourier transform, which a processor does five times as fast, for training."""
        return torch.log(power(sound) @ self.weights[:, :, 0].T + spectrogram.FLOOR).transpose(1, 2).unsqueeze(1)


def power(sound: Tensor) -> Tensor:
    """(batch, samples) to (batch, frames, bins): what lies at each of `spectrogram.BINS_HZ`."""
    frames = sound.unfold(1, spectrogram.FRAME, spectrogram.STEP) * torch.from_numpy(spectrogram.hann())
    first = round(spectrogram.BINS_HZ[0] * spectrogram.FRAME / RATE_HZ)
    waves = torch.fft.rfft(frames)[:, :, first : first + len(spectrogram.BINS_HZ)]
    return waves.real.square() + waves.imag.square()


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut; the first may thin out the bands, the frames, or both, and widen."""

    def __init__(self, before: int, after: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, values: Tensor) -> Tensor:
        return torch.relu(self.body(values) + self.shortcut(values))


class Recogniser(nn.Module):
    """(batch, 1, 32 bands, 79 frames) log-mel to (batch, classes) raw scores.

    The level of the window is taken out first, so that a whisper and a shout look alike, and what is far below its
    loudest frame, so that a quiet room and digital silence do. Two networks that began from different weights look at
    that, and their scores are averaged: what only one of them makes out of a strange voice counts half.
    """

    def __init__(self, widths: tuple[int, int, int, int] = (16, 32, 64, 80), drop: float = 0.25) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(_body(widths, drop) for _ in range(BODIES))

    def forward(self, bands: Tensor) -> Tensor:
        values = levelled(bands)
        scores: Tensor = sum((body(values) for body in self.bodies), torch.zeros(())) / BODIES
        return scores


def levelled(bands: Tensor) -> Tensor:
    """What the bodies of a recogniser look at: (batch, 1, 32, 87), the edges of silence included."""
    loudest = bands.mean(dim=2, keepdim=True).amax(dim=3, keepdim=True)
    above = nn.functional.pad((bands - loudest).clamp_min(-DEPTH), (EDGE, EDGE), value=-DEPTH)
    return (above - above.mean(dim=(2, 3), keepdim=True)) * SCALE


def _body(widths: tuple[int, int, int, int], drop: float) -> nn.Sequential:
    """The head keeps the time axis: what is said in the middle counts more than what the window cuts."""
    first, second, third, fourth = widths
    return nn.Sequential(
        nn.Conv2d(1, first, 5, 2, 2, bias=False),  # 16 x 44
        nn.BatchNorm2d(first),
        nn.ReLU(),
        Residual(first, second, (2, 1)),  # 8 x 44
        Residual(second, third, (2, 2)),  # 4 x 22
        Residual(third, fourth, (2, 2)),  # 2 x 11
        nn.Conv2d(fourth, HEAD, (2, 1), bias=False),
        nn.BatchNorm2d(HEAD),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(drop),
        nn.Linear(HEAD * 11, len(LABELS)),
    )
