"""A room, noise, another throat and a microphone around clean windows, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from spoken_digits import noises, spectrogram
from spoken_digits.bank import RATE_HZ, Word
from spoken_digits.network import power
from spoken_digits.scenes import SILENCE, UNKNOWN, WINDOW
from torch import Tensor

_ROOM = RATE_HZ // 4
_LENGTH = 20_480
"""A window and the longest echo, rounded up to a size that transforms quickly."""
_ROOMS, _CURVES = 300, 600
_SIZES = np.exp(np.linspace(-0.18, 0.18, 25))
"""By how much a speaker is made larger, without a change of pitch."""
_SECONDS = 8.0
"""Length of each stretch of noise that windows are cut from."""


class Surroundings:
    """Rooms, microphones and noises, made once; every window gets a draw of them."""

    def __init__(self, speech: Sequence[Word], dice: np.random.Generator) -> None:
        """`speech`: sentences, for babble."""
        self._dice = dice
        self._hiss = torch.from_numpy(dice.standard_normal((8, int(_SECONDS * RATE_HZ))).astype(np.float32))
        self._rooms = torch.fft.rfft(torch.stack([_room(dice) for _ in range(_ROOMS)]), _LENGTH)
        self._curves = torch.stack([_microphone(dice) for _ in range(_CURVES)])
        self._bands = torch.stack([torch.from_numpy(spectrogram.mel_weights(size).T) for size in _SIZES])
        makers = [(noises.coloured, 80), (noises.hum, 20), (noises.clicks, 25)]
        plain = [make(_SECONDS, dice) for make, count in makers for _ in range(count)]
        self._plain = torch.from_numpy(np.stack(plain))
        lively = [noises.notes(_SECONDS, dice) for _ in range(40)]
        lively += [noises.babble(_SECONDS, speech, dice) for _ in range(40)] if speech else []
        self._lively = torch.from_numpy(np.stack(lively))

    def around(self, sound: np.ndarray, labels: np.ndarray) -> tuple[Tensor, Tensor]:
        """The log-mel bands of (batch, WINDOW) sound as a microphone would give it, and the labels; some of the silent
        windows get music or many voices in front, and become `unknown`."""
        count, dice = len(sound), self._dice
        spoken = torch.from_numpy(sound)
        labels = labels.copy()
        silent = torch.from_numpy((sound == 0).all(axis=1)).unsqueeze(1)
        noise = self._noise(count, dice, labels)
        below_db = torch.from_numpy(_snr_db(count, dice)).unsqueeze(1)
        loudness = spoken.abs().amax(dim=1, keepdim=True) * 0.25 * 10 ** (-below_db / 20)
        roomy = torch.from_numpy(np.flatnonzero(dice.random(count) < 0.6))
        rooms = self._rooms[torch.from_numpy(dice.integers(_ROOMS, size=len(roomy)))]
        spoken[roomy] = torch.fft.irfft(torch.fft.rfft(spoken[roomy], _LENGTH) * rooms, _LENGTH)[:, :WINDOW]
        heard = self._recorded(spoken + noise * torch.where(silent, 0.1, loudness))
        curves = self._curves[torch.from_numpy(dice.integers(_CURVES, size=count))]
        sizes = self._bands[torch.from_numpy(dice.integers(len(_SIZES), size=count))]
        bands = torch.log(torch.bmm(power(heard) * curves.unsqueeze(1), sizes) + spectrogram.FLOOR)
        return bands.transpose(1, 2).unsqueeze(1), torch.from_numpy(labels)

    def _noise(self, count: int, dice: np.random.Generator, labels: np.ndarray) -> Tensor:
        """Of an effective value of 1, half of it two noises at once. Silent windows in which somebody else sings or
        talks are relabelled."""
        noise = self._cut(self._plain, count)
        mixed = torch.from_numpy(dice.random(count) < 0.5)
        noise[mixed] = 0.7 * noise[mixed] + 0.7 * self._cut(self._plain, int(mixed.sum()))
        lively = dice.random(count) < np.where(labels == SILENCE, 0.5, 0.25)
        noise[torch.from_numpy(lively)] = self._cut(self._lively, int(lively.sum()))
        labels[lively & (labels == SILENCE)] = UNKNOWN
        return noise

    def _cut(self, tracks: Tensor, count: int) -> Tensor:
        rows = self._dice.integers(len(tracks), size=count)
        starts = self._dice.integers(tracks.shape[1] - WINDOW, size=count)
        cut = [tracks[int(row), int(start) : int(start) + WINDOW] for row, start in zip(rows, starts, strict=True)]
        return torch.stack(cut) if cut else torch.zeros(0, WINDOW)

    def _recorded(self, heard: Tensor) -> Tensor:
        """Gain, clipping, the noise of the converter, and for some the eight bits of a telephone."""
        count, dice = len(heard), self._dice
        peak = heard.abs().amax(dim=1, keepdim=True).clamp_min(1e-6)
        gain = torch.from_numpy(10 ** dice.uniform(-2.2, 0, (count, 1)).astype(np.float32))
        gain[torch.from_numpy(dice.random(count) < 0.08)] = 2.5
        floor = torch.from_numpy(10 ** dice.uniform(-5.5, -3.5, (count, 1)).astype(np.float32))
        heard = (heard / peak * gain).clamp(-1, 1) + floor * self._cut(self._hiss, count)
        rows = torch.from_numpy(np.flatnonzero(dice.random(count) < 0.1))
        steps = (torch.log1p(255 * heard[rows].abs().clamp_max(1)) / np.log(256) * 127).round() / 127
        heard[rows] = heard[rows].sign() * torch.expm1(steps * np.log(256)) / 255  # mu-law: ITU-T G.711
        return heard


def _snr_db(count: int, dice: np.random.Generator) -> np.ndarray:
    """Mostly a quiet room, sometimes a loud one."""
    return np.where(dice.random(count) < 0.5, dice.uniform(20, 50, count), dice.uniform(2, 25, count)).astype(
        np.float32
    )


def _room(dice: np.random.Generator) -> Tensor:
    """(_ROOM,) impulse response: the direct sound, then noise that falls by 60 dB in 0.05 to 0.6 s."""
    time_s = np.arange(_ROOM) / RATE_HZ
    tail = dice.standard_normal(_ROOM) * 10 ** (-3 * time_s / dice.uniform(0.05, 0.6))
    tail[: int(dice.uniform(0.001, 0.01) * RATE_HZ)] = 0
    tail *= 10 ** dice.uniform(-1.0, 0.1) / np.sqrt((tail**2).sum())
    tail[0] = 1
    return torch.from_numpy((tail / np.sqrt((tail**2).sum())).astype(np.float32))


def _microphone(dice: np.random.Generator) -> Tensor:
    """(bins,) gains of power: a band that ends somewhere at both sides, and a bent response in between."""
    hertz = spectrogram.BINS_HZ
    bends = np.interp(np.log(hertz), np.log(np.geomspace(50, 4000, 7)), dice.normal(0, 3.0, 7))
    low = 1 / np.sqrt(1 + (float(np.exp(dice.uniform(np.log(20), np.log(350)))) / hertz) ** 4)
    high = 1 / np.sqrt(1 + (hertz / dice.uniform(2600, 9000)) ** 8)
    tilt = dice.normal(0, 1.5) * np.log2(hertz / 1000)
    gain = 10 ** ((bends + tilt) / 10) * (low * high) ** 2
    return torch.from_numpy((gain / gain.mean()).astype(np.float32))
