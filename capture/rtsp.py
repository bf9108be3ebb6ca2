"""`rtsp://` and `rtsps://`: a network camera, through OpenCV's FFmpeg, over TCP."""

from __future__ import annotations

import math
import time
from typing import Any

from capture.address import redacted
from capture.grabbing import GrabbingCamera
from capture.lateness import Lateness
from capture.opencv import load_opencv
from capture.options import VideoOptions
from capture.rtsp_refusal import refusal
from capture.samples import Stamp
from capture.source import CaptureError

OPEN_TIMEOUT_MS = 3000
READ_TIMEOUT_MS = 2000

CATCH_UP_S = 2.0
"""How long after opening the pictures that gathered meanwhile are thrown away."""

ONE_THREAD_PIXELS_PER_S = 120e6
"""A slow core decodes this much H.264. FFmpeg delays by one picture per further thread, so only larger streams get
more: 3840x2160 at 15/s and above."""

DEFAULT_FPS = 25.0
"""Assumed of a stream that does not tell its rate."""


class RtspCamera(GrabbingCamera):
    """A network camera. Its address may hold a password: it is shown nowhere but in redacted form.

    A camera that stops sending raises CaptureError after READ_TIMEOUT_MS.
    """

    def __init__(self, name: str, uri: str, options: VideoOptions) -> None:
        super().__init__(name, options)
        if not uri.startswith(("rtsp://", "rtsps://")) or not uri.partition("//")[2].strip("/"):
            raise ValueError(f"{redacted(uri)!r}: expected an address such as rtsp://host:554/path")
        self._uri = uri
        self._shown = redacted(uri)
        self._lateness = Lateness()

    def _open(self) -> str:
        cv2 = load_opencv()
        self._connect(cv2, threads=1)
        width, height, fps = self._told(cv2)
        if width * height * (fps or DEFAULT_FPS) > ONE_THREAD_PIXELS_PER_S:
            self._release()
            self._connect(cv2, threads=3)
        self._lateness = Lateness()
        self._catch_up(period_ns=int(1e9 / (fps or DEFAULT_FPS)))
        rate = f" {fps:.4g}/s" if fps else ""
        return f"{width}x{height} {self._codec(cv2)}{rate} from {self._shown}"

    def _connect(self, cv2: Any, threads: int) -> None:
        parameters = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS]
        if hasattr(cv2, "CAP_PROP_N_THREADS"):  # from OpenCV 4.8
            parameters += [cv2.CAP_PROP_N_THREADS, threads]
        self._capture = cv2.VideoCapture(self._uri, cv2.CAP_FFMPEG, parameters)
        if not self._capture.isOpened():
            raise CaptureError(f"{self._shown}: {refusal(self._uri)}")

    def _told(self, cv2: Any) -> tuple[int, int, float]:
        """Width, height and pictures per second as the stream tells them; 0 for a rate that it does not tell."""
        get = self._capture.get
        fps = get(cv2.CAP_PROP_FPS)
        known = math.isfinite(fps) and 0 < fps < 1000
        return int(get(cv2.CAP_PROP_FRAME_WIDTH)), int(get(cv2.CAP_PROP_FRAME_HEIGHT)), fps if known else 0.0

    def _codec(self, cv2: Any) -> str:
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
        return code.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ") or "video"

    def _catch_up(self, period_ns: int) -> None:
        """Throw away what gathered while the stream was opened: until pictures come no faster than they were taken.

        `period_ns` stands in where the stream gives two pictures the same time, as it often does to the first two.
        """
        began_ns = before_ns = time.monotonic_ns()
        taken_ns: int | None = None
        while before_ns - began_ns < CATCH_UP_S * 1e9:
            if not self._capture.grab():
                raise CaptureError(self._lost())
            self._stamp(before_ns)
            now_ns, now_taken_ns = time.monotonic_ns(), self._taken_ns()
            if taken_ns is not None:
                gap_ns = now_taken_ns - taken_ns
                if now_ns - before_ns >= (gap_ns if gap_ns > 0 else period_ns) // 2:
                    return
            before_ns, taken_ns = now_ns, now_taken_ns

    def _taken_ns(self) -> int:
        """The stream's own time of the picture just grabbed; 0 when it has none."""
        taken_ms = self._capture.get(load_opencv().CAP_PROP_POS_MSEC)
        return int(taken_ms * 1e6) if math.isfinite(taken_ms) and taken_ms > 0 else 0

    def _stamp(self, asked_ns: int) -> Stamp:
        """When the picture arrived, or would have arrived without the buffers it lay in.

        After a time-out FFmpeg still hands out the pictures it had half decoded, as if nothing had happened: what
        comes after so long a wait is not passed on.
        """
        now = Stamp.now()
        if now.mono_ns - asked_ns > READ_TIMEOUT_MS * 900_000:
            raise CaptureError(self._lost())
        return now.shifted(-self._lateness.late_ns(now.mono_ns, self._taken_ns()))

    def _lost(self) -> str:
        return (
            f"{self._shown}: the stream ended or no picture came for {READ_TIMEOUT_MS / 1000:g} s: "
            "check the camera's power and network"
        )
