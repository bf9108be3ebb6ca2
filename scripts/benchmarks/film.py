"""The film that is measured on: shapes that cross a bright, textured, drifting background, with the noise of a sensor.

Busier than `scene:shapes`, so that encoder, decoder and detector have as much to do as in a street.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

WIDTH, HEIGHT, FPS = 1280, 720, 30
SHAPES = 14


class NoFilm(Exception):
    """It cannot be encoded here; the message says what is missing."""


@dataclass(slots=True)
class _Shape:
    position: npt.NDArray[np.float64]
    speed: npt.NDArray[np.float64]
    size: int
    colour: tuple[int, int, int]
    kind: int


def pictures(count: int, seed: int = 7) -> Iterator[Pixels]:
    """uint8 (height, width, 3) BGR; the same for the same seed."""
    random = np.random.default_rng(seed)
    background = _background(random)
    noise = random.integers(0, 9, (HEIGHT, WIDTH, 3), np.uint8)
    shapes = [_shape(random) for _ in range(SHAPES)]
    for number in range(count):
        # np.roll copies: whoever takes a picture owns it.
        picture = np.roll(background, 2 * number, axis=1)
        picture += np.roll(noise, 37 * number, axis=0)
        for shape in shapes:
            _move(shape)
            _draw(picture, shape, number)
        yield picture


def encode(path: Path, seconds: int) -> None:
    """H.264 at 4 Mbit/s, a key picture a second, as a network camera sends it. Raises NoFilm."""
    if shutil.which("ffmpeg") is None:
        raise NoFilm("ffmpeg is not installed: apt-get install ffmpeg")
    form = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "-"]
    codec = ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-b:v", "4M", "-g", str(FPS)]
    command = ["ffmpeg", "-y", "-loglevel", "error", *form, *codec, "-pix_fmt", "yuv420p", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        for picture in pictures(FPS * seconds):
            encoder.stdin.write(picture.data)
        encoder.stdin.close()
    if encoder.returncode != 0:
        raise NoFilm("ffmpeg cannot encode H.264 here: install one that has libx264")


def _background(random: np.random.Generator) -> Pixels:
    """Waves of colour, grainy; it may be shifted round without a seam. Leaves room for the noise."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    round_x = x * np.float32(2 * np.pi / WIDTH)
    waves = np.stack(
        [
            96 + 60 * np.sin(14 * round_x) * np.cos(y / 70),
            110 + 50 * np.sin(9 * round_x + y / 140),
            90 + 70 * np.cos(6 * round_x),
        ],
        axis=-1,
    )
    grain = random.normal(0, 6, waves.shape).astype(np.float32)
    return np.clip(waves + grain, 0, 246).astype(np.uint8)


def _shape(random: np.random.Generator) -> _Shape:
    return _Shape(
        position=random.uniform((100, 100), (WIDTH - 100, HEIGHT - 100)),
        speed=random.uniform(-7, 7, 2),
        size=int(random.integers(20, 90)),
        colour=(int(random.integers(256)), int(random.integers(256)), int(random.integers(256))),
        kind=int(random.integers(3)),
    )


def _move(shape: _Shape) -> None:
    """A step, and a turn at the edges."""
    shape.position += shape.speed
    outside = (shape.position < 0) | (shape.position > (WIDTH, HEIGHT))
    shape.speed[outside] *= -1


def _draw(picture: Pixels, shape: _Shape, number: int) -> None:
    import cv2

    x, y = (int(each) for each in shape.position)
    if shape.kind == 0:
        cv2.circle(picture, (x, y), shape.size, shape.colour, cv2.FILLED)
    elif shape.kind == 1:
        corners = (x - shape.size, y - shape.size), (x + shape.size, y + shape.size)
        cv2.rectangle(picture, *corners, shape.colour, cv2.FILLED)
    else:
        cv2.ellipse(picture, (x, y), (shape.size, shape.size // 2), 3 * number, 0, 360, shape.colour, cv2.FILLED)
