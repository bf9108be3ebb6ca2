"""What is said of a picture, drawn into it."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from capture.samples import Pixels

NAMED = {"red": 0.0, "orange": 0.08, "yellow": 0.15, "green": 0.36, "blue": 0.58, "purple": 0.77, "pink": 0.92}
"""Hues of labels that are colours."""
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
HEIGHT_FOR_ONE = 640
"""Of a picture whose lines are one step thick."""


def colour(label: str) -> tuple[int, int, int]:
    """BGR, bright, always the same for the same label."""
    hue = NAMED.get(label.lower())
    if hue is None:
        hue = hashlib.sha256(label.encode()).digest()[0] / 256
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 1.0)
    return round(blue * 255), round(green * 255), round(red * 255)


def drawn(pixels: Pixels, head: dict[str, Any], heard: Sequence[str]) -> Pixels:
    """A copy with boxes, labels, tracks and outlines of the results in `head`, a record of the live page; `heard`:
    words at the bottom."""
    made = np.array(pixels, np.uint8)
    height, width = made.shape[:2]
    across, down = width / head["width"], height / head["height"]
    thick = max(1, round(height / HEIGHT_FOR_ONE * 2))
    for result in head["results"]:
        for each in result.get("detections") or ():
            _object(made, each, (across, down), thick)
    lines = [_words(result) for result in head["results"]]
    for row, line in enumerate(lines):
        _text(made, line, 8, 8 + row * _row(height), height, BLACK, WHITE)
    if heard:
        _text(made, "heard: " + "  ".join(heard), 8, height - _row(height) - 4, height, BLACK, WHITE)
    return made


def _object(pixels: Pixels, detection: dict[str, Any], scale: tuple[float, float], thick: int) -> None:
    import cv2

    across, down = scale
    bgr = colour(str(detection["label"]))
    outlines = [detection["corners"]] if detection.get("corners") else []
    outlines += (detection.get("mask") or {}).get("polygons", [])
    for outline in outlines:
        points = np.round(np.asarray(outline, float) * (across, down)).astype(np.int32)
        cv2.polylines(pixels, [points], True, bgr, thick, cv2.LINE_AA)
    left, top, right, bottom = detection["box"]
    corner = round(left * across), round(top * down)
    if not detection.get("corners"):
        cv2.rectangle(pixels, corner, (round(right * across), round(bottom * down)), bgr, thick, cv2.LINE_AA)
    track = f" #{detection['track']}" if detection.get("track") is not None else ""
    words = f"{detection['label']}{track} {detection['score']:.2f}"
    height = pixels.shape[0]
    _text(pixels, words, corner[0], max(0, corner[1] - _row(height)), height, bgr, BLACK)


def _words(result: dict[str, Any]) -> str:
    if result["status"] == "failed":
        return f"{result['pipeline']}: failed: {result['reason']}"
    labels = ", ".join(f"{each['label']} {each['score']:.2f}" for each in result.get("labels") or ())
    total = (result.get("latency_ms") or {}).get("total")
    took = "" if total is None else f" {total:.0f} ms"
    return f"{result['pipeline']}{': ' + labels if labels else ''}{took}, {result['answered_by']}"


def _row(height: int) -> int:
    """Pixels from one line of words to the next."""
    return max(14, round(height / 24))


def _text(
    pixels: Pixels, words: str, x: int, y: int, height: int, ground: tuple[int, int, int], ink: tuple[int, int, int]
) -> None:
    """On a plate of its own colour, so that it can be read on any picture. OpenCV's font has no more than ASCII."""
    import cv2

    size = _row(height) / 30
    words = words.encode("ascii", "replace").decode()
    (wide, tall), below = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    cv2.rectangle(pixels, (x, y), (x + wide + 6, y + tall + below + 4), ground, cv2.FILLED)
    cv2.putText(pixels, words, (x + 3, y + tall + 3), cv2.FONT_HERSHEY_SIMPLEX, size, ink, 1, cv2.LINE_AA)
