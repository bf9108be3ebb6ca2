"""Rendered scenes in files, made by several processes: the same seed gives the same scenes, however many there are."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from digits.fonts import fonts
from digits.ink import Picture
from digits.kit import Kit
from digits.packages import CHOOSING, TESTING, TRAINING
from digits.scene import SIDE, Scene, String, render

PACKAGES = {"training": TRAINING, "choosing": CHOOSING, "testing": TESTING}
_SEEDS = {"training": 1, "choosing": 2, "testing": 3}

_kit: Kit | None = None
"""Of this worker process."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Scenes and what there is to be read in them."""

    path: Path
    """File of the pictures."""
    kinds: tuple[str, ...]
    content: tuple[tuple[int, int, int, int], ...]
    """Left, top, right, bottom of what is not padding, of each scene."""
    strings: tuple[tuple[String, ...], ...]

    @property
    def pixels(self) -> Picture:
        """(n, SIDE, SIDE, 3), still on the disk."""
        pixels: Picture = np.load(self.path, mmap_mode="r")
        return pixels

    def digits(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """(k,) digits and (k, 4) boxes of a scene."""
        strings = self.strings[number]
        digits = np.array([int(digit) for string in strings for digit in string.digits], np.int64)
        boxes = np.concatenate([string.boxes for string in strings]) if strings else np.zeros((0, 4), np.float32)
        return digits, boxes


def rendered(share: str, many: int, seed: int, scratch: Path, workers: int) -> Dataset:
    """`many` scenes with the fonts of this share (`training`, `choosing`, `testing`)."""
    path = scratch / f"{share}.npy"
    pixels = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(many, SIDE, SIDE, 3))
    kinds, content, strings = [], [], []
    for number, scene in enumerate(_scenes(share, many, seed, workers)):
        pixels[number] = scene.pixels
        kinds.append(scene.kind)
        content.append(scene.content)
        strings.append(scene.strings)
    return Dataset(path, tuple(kinds), tuple(content), tuple(strings))


def _scenes(share: str, many: int, seed: int, workers: int) -> Iterator[Scene]:
    jobs = [(seed, _SEEDS[share], number) for number in range(many)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, _prepare, (share,)) as pool:
        yield from pool.imap(_one, jobs, chunksize=32)


def _prepare(share: str) -> None:
    global _kit
    cv2.setNumThreads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    _kit = Kit(fonts(PACKAGES[share]))


def _one(job: tuple[int, int, int]) -> Scene:
    assert _kit is not None, "the pool prepares its workers"
    return render(_kit, np.random.default_rng(job))
