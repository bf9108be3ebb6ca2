"""`file:`: a video file as a source, at its own pace or as fast as it is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from capture.container import Container, read_container
from capture.opencv import load_opencv
from capture.options import VideoOptions
from capture.pace import Pace
from capture.place import kind_of
from capture.samples import Frame, Stamp
from capture.source import CaptureError
from capture.video import VideoSource

MISSING_S = 0.5
"""A file that ends this much before the length it promises has become unreadable."""

JUMP_S = 5.0
"""A longer gap between two timestamps of a file is taken for a fault of the timestamps, not for a pause."""


class VideoFile(VideoSource):
    """A video file. `seq` is the number of the picture in the file, and goes on counting when it loops.

    Raises CaptureError, which names the file and the reason, when it is missing, no video, half-written, or ends
    before the length its container promises.
    """

    def __init__(self, name: str, path: str, options: VideoOptions) -> None:
        super().__init__(name, options, live=options.realtime)
        self._path = Path(path)
        self._capture: Any = None
        self._container = Container(size=0, fault="")
        self._fps = 0.0

    def _open(self) -> str:
        self._container = self._whole_container()
        cv2 = load_opencv()
        self._start(cv2)
        width, height = (int(self._capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._fps = fps if math.isfinite(fps) and 0 < fps < 1000 else 25.0
        pace = f"at {self._options.fps or self._fps:.4g}/s" if self.live else "as fast as possible"
        seconds = f", {self._container.video_s:.1f} s" if self._container.video_s else ""
        return f"{self._path}: {width}x{height}, {self._fps:.4g}/s{seconds}, read {pace}"

    def _whole_container(self) -> Container:
        kind = kind_of(self._path)
        if kind == "folder":
            raise CaptureError(f"{self._path} is a folder: write images:{self._path} for the pictures in it")
        if kind == "device":
            raise CaptureError(f"{self._path} is a device or a pipe, no file: a camera is written camera:{self._path}")
        try:
            container = read_container(self._path)
        except OSError as e:
            raise CaptureError(f"{self._path}: cannot be read: {e.strerror}") from e
        if container.fault:
            raise CaptureError(f"{self._path} is not a whole video: {container.fault}: copy or record it again")
        return container

    def _start(self, cv2: Any) -> None:
        """Open the file at its first picture."""
        self._release()
        parameters: list[int] = []
        if self.live and hasattr(cv2, "CAP_PROP_N_THREADS"):  # decoding ahead on every core takes them from the models
            parameters = [cv2.CAP_PROP_N_THREADS, 1]
        self._capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG, parameters)
        if not self._capture.isOpened():
            raise CaptureError(
                f"{self._path} is not a video that can be decoded: its contents are damaged or of an unknown kind"
            )

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _frames(self) -> Iterator[Frame]:
        cv2 = load_opencv()
        pace = Pace(self._closing)
        seq, lap_s, asked_fps = 0, 0.0, self._options.fps
        while True:
            count, moment_s = 0, 0.0
            for moment_s in self._moments(cv2):
                due_s = count / asked_fps if asked_fps else moment_s
                if self.live and not pace.wait_until(lap_s + due_s):
                    return
                stamp = Stamp.now()
                shown, pixels = self._capture.retrieve()
                if not shown:
                    raise CaptureError(f"{self._path}: picture {count} cannot be decoded: the file is damaged")
                yield self._frame(seq + count, stamp, pixels)
                count += 1
            end_s = moment_s + 1 / self._fps
            self._check_end(count, end_s)
            if not self._options.loop:
                return
            seq, lap_s = seq + count, lap_s + (count / asked_fps if asked_fps else end_s)
            self._start(cv2)

    def _moments(self, cv2: Any) -> Iterator[float]:
        """Seconds since the first picture, for each picture that can be grabbed; always growing."""
        moment_s, before_ms = 0.0, 0.0
        first = True
        while self._capture.grab():
            at_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
            gap_s = (at_ms - before_ms) / 1000
            if first:
                gap_s = 0.0
            elif not 0 < gap_s <= JUMP_S:
                gap_s = 1 / self._fps
            moment_s, before_ms, first = moment_s + gap_s, at_ms, False
            yield moment_s

    def _check_end(self, count: int, end_s: float) -> None:
        """Tell the end of the film from the point where it became unreadable; CaptureError for the latter."""
        if count == 0:
            raise CaptureError(f"{self._path}: no picture in it can be decoded: its contents are damaged")
        try:
            size = self._path.stat().st_size
        except OSError as e:
            raise CaptureError(f"{self._path}: gone after picture {count}: {e.strerror}") from e
        if size < self._container.size:
            raise CaptureError(
                f"{self._path}: became shorter while it was read, from {self._container.size} to {size} bytes"
            )
        promised_s = self._container.video_s
        if promised_s is not None and end_s < promised_s - MISSING_S:
            raise CaptureError(
                f"{self._path}: unreadable after picture {count}, at {end_s:.1f} s of the {promised_s:.1f} s "
                "that the file promises: copy or record it again"
            )
