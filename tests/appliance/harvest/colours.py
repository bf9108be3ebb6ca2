"""A recording of coloured squares, a large network that names them, and a small one that guesses.

A picture's mean in each of some mixtures of colours, and from these three scores. The small network has four mixtures
and is told little about any; the large one has twenty-four that tell the colours well apart.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from onnx import helper

from tests.networks import tensor, write

COLOURS = {"red": (20, 20, 230), "green": (20, 230, 20), "blue": (230, 20, 20)}
"""BGR."""
SIZE = 48
APIECE = 12
"""Pictures of one colour, one after the other."""


def recording(path: Path, rounds: int = 4) -> Path:
    """A film of squares that walk, red, green and blue by turns."""
    random = np.random.default_rng(5)
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (SIZE, SIZE))
    assert film.isOpened()
    for number in range(rounds * APIECE * len(COLOURS)):
        colour = list(COLOURS.values())[number // APIECE % len(COLOURS)]
        pixels = random.integers(70, 110, (SIZE, SIZE, 3), np.uint8)
        x, y = number * 2 % 24, number * 3 % 24
        pixels[y : y + 22, x : x + 22] = colour
        film.write(pixels)
    film.release()
    return path


def large(path: Path) -> Path:
    """Sure of every colour."""
    own = np.eye(3) * 1.5 - 0.5  # red: 1.0 r - 0.5 g - 0.5 b
    return _network(path, np.tile(own, (8, 1)), np.tile(np.eye(3), (8, 1)) * 12)


def small(path: Path) -> Path:
    """Takes red for red, green for green, blue for green, and is sure of nothing."""
    mixtures = np.array([[1.0, -0.5, -0.5], [-0.5, 1.0, -0.5], [-0.5, -0.5, 1.0], [0.3, 0.3, 0.3]])
    scores = np.array([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 3.0, 1.0], [0.0, 0.2, 0.0]])
    return _network(path, mixtures, scores)


def _network(path: Path, mixtures: np.ndarray, scores: np.ndarray) -> Path:
    """`mixtures`: of red, green and blue, (n, 3); `scores`: what each tells of each colour, (n, 3)."""
    nodes = [
        helper.make_node("Conv", ["x", "mixtures"], ["mixed"]),
        helper.make_node("Relu", ["mixed"], ["positive"]),
        helper.make_node("ReduceMean", ["positive"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "scores"], ["raw"]),
        helper.make_node("Softmax", ["raw"], ["y"], axis=1),
    ]
    weights = {
        "mixtures": mixtures.astype(np.float32)[:, :, None, None],
        "scores": scores.astype(np.float32),
    }
    return write(path, nodes, [tensor("x", [1, 3, SIZE, SIZE])], [tensor("y", [1, 3])], weights=weights)
