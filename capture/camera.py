"""`camera:`: a V4L2 camera, which is every USB camera and many others."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capture.grabbing import GrabbingCamera
from capture.opencv import load_opencv
from capture.options import VideoOptions
from capture.samples import Stamp
from capture.source import CaptureError

PLAUSIBLE_AGE_NS = 2_000_000_000
"""A driver's stamp further from now is on another clock than ours."""
GONE_WITHIN_S = 0.5
"""The kernel ends a read before it takes the name of a camera that was pulled out from /dev."""


@dataclass(frozen=True, slots=True)
class CameraDevice:
    """A camera that this machine has."""

    path: str
    """`/dev/video0`."""
    label: str
    """What the driver calls it."""
    link: str
    """`/dev/v4l/by-id/…`, which stays the same in whichever order cameras are plugged in, or `/dev/v4l/by-path/…`, the
    USB port, where the id may be another's as well; empty when there is neither."""

    @property
    def uri(self) -> str:
        """What to write into a configuration."""
        return f"camera:{self.link or self.path}"

    def __str__(self) -> str:
        return f"{self.uri} ({self.label})"


def cameras(root: Path = Path("/")) -> list[CameraDevice]:
    """The V4L2 capture devices of this machine, found in sysfs without opening any."""
    labels = {}
    for entry in sorted(root.glob("sys/class/video4linux/video*"), key=lambda path: (len(path.name), path.name)):
        if _first_line(entry / "index") in ("", "0"):  # others are second nodes of a camera: metadata
            labels[entry.name] = _first_line(entry / "name") or "unnamed"
    links = {**_lasting(labels, root, "by-path/*-usb*"), **_lasting(labels, root, "by-id/*")}
    return [CameraDevice(f"/dev/{node}", label, links.get(node, "")) for node, label in labels.items()]


def _lasting(labels: dict[str, str], root: Path, pattern: str) -> dict[str, str]:
    """The links of this pattern that lead to the same camera after the next start.

    Cameras of one make without a serial number share one id, and udev gives the link to either of them: none of a make
    is used where one goes without. The make is what a USB camera's label begins with, "Make: lens". Of paths only
    those of USB ports are asked for: cameras on one board may share theirs under any label.
    """
    links: dict[str, str] = {}
    for link in sorted(root.glob(f"dev/v4l/{pattern}")):
        links.setdefault(link.resolve().name, f"/{link.relative_to(root)}")
    makes = {node: label.partition(":")[0] for node, label in labels.items()}
    shared = {make for node, make in makes.items() if node not in links}
    return {node: link for node, link in links.items() if makes.get(node) not in shared}


def _first_line(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Mode:
    """What a camera delivers."""

    pixel_format: str
    width: int
    height: int
    fps: float

    def __str__(self) -> str:
        return f"{self.width}x{self.height} {self.pixel_format} {self.fps:g}/s"

    def fulfils(self, wish: VideoOptions) -> bool:
        """Whether the size is the one asked for and the rate reaches 95 % of it (29.97 will do for 30)."""
        size = self.width == (wish.width or self.width) and self.height == (wish.height or self.height)
        return size and self.fps >= 0.95 * (wish.fps or 0.0)


def negotiated(capture: Any, wish: VideoOptions) -> Mode:
    """Ask an open cv2.VideoCapture for `wish` and say what it will deliver.

    Without a wish for a pixel format, MJPG only where it is the only way to size and rate: it costs a decoding.
    """
    if wish.pixel_format is not None:
        return _ask(capture, wish, wish.pixel_format)
    if wish.width is None and wish.height is None and wish.fps is None:
        return _mode(capture)
    plain = _ask(capture, wish, "YUYV")
    if plain.fulfils(wish):
        return plain
    compressed = _ask(capture, wish, "MJPG")
    if compressed.pixel_format == "MJPG" and (compressed.fulfils(wish) or compressed.fps > plain.fps):
        return compressed
    return _ask(capture, wish, "YUYV")


def _ask(capture: Any, wish: VideoOptions, pixel_format: str) -> Mode:
    """Order matters: a format limits the sizes, a size limits the rates."""
    cv2 = load_opencv()
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter_fourcc(*pixel_format))
    for key, value in (
        (cv2.CAP_PROP_FRAME_WIDTH, wish.width),
        (cv2.CAP_PROP_FRAME_HEIGHT, wish.height),
        (cv2.CAP_PROP_FPS, wish.fps),
    ):
        if value is not None:
            capture.set(key, value)
    return _mode(capture)


def _mode(capture: Any) -> Mode:
    cv2 = load_opencv()
    code = int(capture.get(cv2.CAP_PROP_FOURCC)) & 0xFFFFFFFF
    pixel_format = code.to_bytes(4, "little").decode("ascii", "replace").strip("\0 ")
    width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    return Mode(pixel_format, width, height, float(capture.get(cv2.CAP_PROP_FPS)))


class Camera(GrabbingCamera):
    """A V4L2 camera, by number (`0` is /dev/video0) or by path."""

    def __init__(self, name: str, device: str, options: VideoOptions) -> None:
        super().__init__(name, options)
        self._path = f"/dev/video{device}" if device.isdecimal() else device
        self._stamped_ns = 0

    def _open(self) -> str:
        self._refuse_absent()
        cv2 = load_opencv()
        self._capture = cv2.VideoCapture(self._path, cv2.CAP_V4L2)
        if not self._capture.isOpened():
            raise CaptureError(
                f"{self._path} does not open as a camera: it may be in use by another program (fuser {self._path}), "
                f"or be no capture device. {_present()}"
            )
        mode = negotiated(self._capture, self._options)
        if not self._capture.grab():
            raise CaptureError(self._lost())
        asked = _asked(self._options, mode)
        return f"{mode} (asked {asked})" if asked else str(mode)

    def _refuse_absent(self) -> None:
        if not Path(self._path).exists():
            raise CaptureError(f"{self._path}: there is no such camera. {_present()}")
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise CaptureError(
                f"{self._path}: no permission to open the camera: add this user to the group video "
                "(sudo usermod -aG video NAME) and log in again; in a container, pass the device in"
            )

    def _stamp(self, asked_ns: int) -> Stamp:
        """The driver's stamp, which is right also after the picture waited in a buffer, where it is plausible.

        Some drivers stamp with another clock or, as vivid does, a little ahead of the time: then it is now. A stamp is
        always later than the one before.
        """
        cv2 = load_opencv()
        now = Stamp.now()
        age_ns = now.mono_ns - int(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        if not 0 <= age_ns < PLAUSIBLE_AGE_NS:
            age_ns = 0
        stamp = now.shifted(-min(age_ns, max(0, now.mono_ns - self._stamped_ns - 1)))
        self._stamped_ns = stamp.mono_ns
        return stamp

    def _lost(self) -> str:
        if self._is_gone():
            return f"{self._path}: the camera is gone: was it unplugged? {_present()}"
        return (
            f"{self._path}: the camera delivers no picture: unplug it and plug it in again, try another cable or "
            "port, or ask it for a smaller picture"
        )

    def _is_gone(self) -> bool:
        until_s = time.monotonic() + GONE_WITHIN_S
        while Path(self._path).exists():
            if time.monotonic() >= until_s:
                return False
            time.sleep(0.02)
        return True


def _asked(wish: VideoOptions, mode: Mode) -> str:
    """What was asked for and not given, in words."""
    parts = []
    if (wish.width or mode.width, wish.height or mode.height) != (mode.width, mode.height):
        parts.append(f"{wish.width or mode.width}x{wish.height or mode.height}")
    if wish.pixel_format not in (None, mode.pixel_format):
        parts.append(str(wish.pixel_format))
    if wish.fps is not None and abs(wish.fps - mode.fps) > 0.05 * wish.fps:
        parts.append(f"{wish.fps:g}/s")
    return " ".join(parts)


def _present() -> str:
    found = cameras()
    if not found:
        return "This machine has no camera: plug one in; in a container, pass it in (--device /dev/video0)."
    return f"Cameras here: {', '.join(map(str, found))}."
