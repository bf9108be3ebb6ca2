"""Pictures to a video that browsers play, and back: VP8 in WebM, by the FFmpeg that comes with OpenCV.

Why this one: docs/decisions/0013-recorded-clips.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from capture.opencv import load_opencv
from capture.samples import Pixels
from capture.source import CaptureError

WIDEST_PX = 1280
"""Wider pictures are made smaller: encoding is what recording costs most."""
NO_VP8 = "this OpenCV writes no VP8 video; install OpenCV with FFmpeg and libvpx: pip's and Debian's have them"


class VideoError(Exception):
    """It could not be written or read."""


def size_of(width: int, height: int) -> tuple[int, int]:
    """Width and height in the video: no wider than WIDEST_PX, and even, as VP8 needs it."""
    if width > WIDEST_PX:
        width, height = WIDEST_PX, round(height * WIDEST_PX / width)
    return max(2, width // 2 * 2), max(2, height // 2 * 2)


class Film:
    """A video in the making. It is whole after `close`, and cannot be believed before `count` has read it back: OpenCV
    does not say when the disk is full."""

    def __init__(self, path: Path, fps: float, width: int, height: int) -> None:
        """`width` and `height` of the pictures. Raises VideoError."""
        try:
            cv2 = load_opencv()
        except CaptureError as error:
            raise VideoError(str(error)) from error
        self.path = path
        self.frames = 0
        self._resize = cv2.resize
        self._area = cv2.INTER_AREA
        self._size = size_of(width, height)
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"VP80"), fps, self._size)
        if not self._writer.isOpened():
            raise VideoError(NO_VP8)

    def write(self, pixels: Pixels) -> None:
        """uint8 (h, w, 3) BGR, of any size."""
        if (pixels.shape[1], pixels.shape[0]) != self._size:
            pixels = np.asarray(self._resize(pixels, self._size, interpolation=self._area), np.uint8)
        self._writer.write(pixels)
        self.frames += 1

    def close(self) -> None:
        self._writer.release()


def pictures_of(path: Path) -> Iterator[Pixels]:
    """Every picture of a video, in order; raises VideoError when it cannot be opened."""
    cv2 = load_opencv()
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not video.isOpened():
            raise VideoError(f"{path}: not a video that this OpenCV can read")
        while True:
            there, pixels = video.read()
            if not there:
                return
            yield np.asarray(pixels, np.uint8)
    finally:
        video.release()


def counted(path: Path) -> Iterator[int]:
    """How many pictures can be read of it, so far, and at last altogether; 0 for what is no video."""
    cv2 = load_opencv()
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        found = 0
        while video.isOpened() and video.grab():
            found += 1
            yield found
        yield found
    finally:
        video.release()


def count(path: Path) -> int:
    """How many pictures can be read of it."""
    return max(counted(path))


def why_not() -> str | None:
    """Why no video can be written on this machine; None when it can."""
    try:
        with tempfile.TemporaryDirectory(prefix="appliance-video-") as folder:
            Film(Path(folder) / "try.webm", 10.0, 64, 48).close()
    except VideoError as error:
        return str(error)
    except OSError:  # no room to try: every clip will tell
        return None
    return None
