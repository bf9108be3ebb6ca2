"""What a V4L2 camera offers, asked of its driver: pixel formats and their sizes.

Structures and numbers: linux/videodev2.h; https://docs.kernel.org/userspace-api/media/v4l/vidioc-enum-fmt.html and
vidioc-enum-framesizes.html.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from capture.source import CaptureError

_ENUM_FMT = 0xC0405602
_FMT = struct.Struct("=III32sII12x")
"""index, type, flags, description, pixel format, bus code, reserved."""
_ENUM_FRAMESIZES = 0xC02C564A
_SIZE = struct.Struct("=III6I8x")
"""index, pixel format, kind of size, then width and height, or both as least, most and step; reserved."""
_VIDEO_CAPTURE, _VIDEO_CAPTURE_MPLANE = 1, 9
_DISCRETE = 1
_BAYER = re.compile(r"(BA|BG|GB|GR|RG)1[0246]|BYR2|p[BGRg](AA|CC|EE)")
"""One colour a pixel in 10 to 16 bits, loose or packed."""
MOST = 64
"""A driver that never ends its list is not followed further."""


@dataclass(frozen=True, slots=True)
class Format:
    """One pixel format of a camera."""

    pixel_format: str
    """Four letters, such as YUYV or MJPG."""

    sizes: tuple[tuple[int, int], ...]
    """Width and height; where the driver takes anything in between, the smallest and the largest."""

    def __str__(self) -> str:
        return f"{self.pixel_format} {', '.join(f'{width}x{height}' for width, height in self.sizes)}".rstrip(" ,")


def formats(path: str) -> tuple[Format, ...]:
    """Of the camera at `/dev/videoN`, in the driver's order; it may be in use. Raises CaptureError."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        raise CaptureError(f"{path}: cannot be opened: {e.strerror}") from e
    try:
        return tuple(_formats(handle))
    except OSError as e:
        raise CaptureError(f"{path}: does not tell its formats: {e.strerror}") from e
    finally:
        os.close(handle)


def only_raw(offered: Sequence[Format]) -> bool:
    """Whether nothing is offered but what the sensor measures, as by a Jetson's CSI camera, which `csi:` reads through
    its image processor. OpenCV's V4L2 reader takes such values in 8 bits only."""
    return bool(offered) and all(_BAYER.fullmatch(each.pixel_format) for each in offered)


def _formats(handle: int) -> Iterator[Format]:
    for kind in (_VIDEO_CAPTURE, _VIDEO_CAPTURE_MPLANE):
        for index in range(MOST):
            told = _ask(handle, _ENUM_FMT, _FMT.pack(index, kind, 0, b"", 0, 0))
            if told is None:
                break
            code = _FMT.unpack(told)[4]
            name = struct.pack("=I", code & 0x7FFFFFFF).decode("ascii", "replace")  # the top bit says big-endian
            yield Format(name, tuple(_sizes(handle, code)))


def _sizes(handle: int, code: int) -> Iterator[tuple[int, int]]:
    for index in range(MOST):
        told = _ask(handle, _ENUM_FRAMESIZES, _SIZE.pack(index, code, 0, 0, 0, 0, 0, 0, 0))
        if told is None:
            return
        _, _, kind, first, second, _, third, fourth, _ = _SIZE.unpack(told)
        if kind == _DISCRETE:
            yield first, second
        else:
            yield from ((first, third), (second, fourth))
            return


def _ask(handle: int, request: int, what: bytes) -> bytes | None:
    """The driver's answer; None past the end of a list, and where it has no such list."""
    try:
        return fcntl.ioctl(handle, request, what)
    except OSError as e:
        if e.errno in (errno.EINVAL, errno.ENOTTY):
            return None
        raise
