"""The loop that cameras share: grab, stamp, decode. V4L2, CSI and RTSP differ in how they open and how they fail."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from capture.options import VideoOptions
from capture.samples import Frame, Stamp
from capture.source import CaptureError
from capture.video import VideoSource

UNDECODABLE = 10
"""This many undecodable pictures in a row mean that the camera is broken; a single one is a hiccup on the cable."""


class GrabbingCamera(VideoSource):
    """A live camera behind a cv2.VideoCapture, which `_open` leaves in `self._capture`.

    `isOpened()` is no evidence, it stays true when the camera is gone: only a picture is. `seq` goes on counting when
    the camera is opened again.
    """

    def __init__(self, name: str, options: VideoOptions) -> None:
        super().__init__(name, options, live=True)
        self._capture: Any = None
        self._seq = 0

    @abstractmethod
    def _lost(self) -> str:
        """What to say when no picture comes: the device, and the next step."""

    def _stamp(self, asked_ns: int) -> Stamp:
        """The moment of the picture just grabbed; `asked_ns` is when the grab began. May raise CaptureError."""
        return Stamp.now()

    def _frames(self) -> Iterator[Frame]:
        undecodable = 0
        while not self._closing.is_set():
            asked_ns = time.monotonic_ns()
            if not self._capture.grab():
                raise CaptureError(self._lost())
            stamp = self._stamp(asked_ns)
            shown, pixels = self._capture.retrieve()
            seq, self._seq = self._seq, self._seq + 1
            if shown:
                undecodable = 0
                yield self._frame(seq, stamp, pixels)
                continue
            undecodable += 1
            if undecodable >= UNDECODABLE:
                raise CaptureError(f"{self._lost()} ({undecodable} pictures in a row could not be decoded)")

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None
