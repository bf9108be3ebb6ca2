"""What a video file says about its own completeness, read without decoding: MP4 and MOV boxes, AVI chunks.

Sources: ISO/IEC 14496-12 (boxes, `moov`, `mvhd`, `tkhd`, `hdlr`), Microsoft's AVI RIFF file reference (`avih`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAX_MOOV = 64 * 1024 * 1024
_MP4_FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot"})


@dataclass(frozen=True, slots=True)
class Container:
    """What is known of a video file before it is decoded."""

    size: int
    """Bytes in the file."""

    fault: str
    """Why the file is known to be incomplete, as the end of a sentence; empty when nothing speaks against it."""

    video_s: float | None = None
    """Seconds of video the file promises; None where the format does not say it reliably."""


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int
    """Where the content begins."""
    end: int
    """Where the box should end, which in a half-written file is behind the end of the file."""


def read_container(path: Path) -> Container:
    """Look at the file's frame; OSError when it cannot be read."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(52)
        if size == 0:
            return Container(size, "it is empty")
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return _avi(size, head)
        if head[4:8] in _MP4_FIRST:
            return _mp4(file, size)
        return Container(size, "")


def _avi(size: int, head: bytes) -> Container:
    """A RIFF chunk carries its length; recorders write 0 there until they finish."""
    (length,) = struct.unpack("<I", head[4:8])
    if 8 + length > size:
        return Container(size, f"it ends after {size} of {8 + length} bytes")
    if head[12:16] != b"LIST" or head[24:28] != b"avih" or len(head) < 52:
        return Container(size, "")
    microseconds, count = struct.unpack("<I12xI", head[32:52])  # per picture, and pictures in the file
    return Container(size, "", video_s=microseconds * count / 1e6 or None)


def _mp4(file: BinaryIO, size: int) -> Container:
    video_s = None
    has_index = False
    for box in _boxes(file, 0, size):
        if box.end > size:
            return Container(size, f"it ends after {size} of at least {box.end} bytes")
        if box.kind == b"moov":
            has_index = True
            if box.end - box.start <= _MAX_MOOV:
                file.seek(box.start)
                video_s = _video_seconds(file.read(box.end - box.start))
    if not has_index:
        return Container(size, "it has no index ('moov'): its recording was never finished")
    return Container(size, "", video_s)


def _boxes(file: BinaryIO, at: int, end: int) -> Iterator[_Box]:
    while at + 8 <= end:
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return
        box = _box(header, at, end)
        yield box
        at = box.end


def _box(header: bytes, at: int, end: int) -> _Box:
    """A box from its first 8 or 16 bytes: 32-bit length, kind, and with length 1 a 64-bit length."""
    length, kind = struct.unpack(">I4s", header[:8])
    start = at + 8
    if length == 1 and len(header) >= 16:
        (length,) = struct.unpack(">Q", header[8:16])
        start = at + 16
    elif length == 0:  # to the end of the file
        length = end - at
    return _Box(kind, start, at + max(length, start - at))


def _inner(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the boxes in `data`."""
    at = 0
    while at + 8 <= len(data):
        box = _box(data[at : at + 16], at, len(data))
        yield box.kind, data[box.start : box.end]
        at = box.end


def _video_seconds(moov: bytes) -> float | None:
    """Length of the longest video track as it is to be shown, edit lists applied; None for fragmented files."""
    boxes = list(_inner(moov))
    rate = next((_durations(data, b"mvhd")[0] for kind, data in boxes if kind == b"mvhd"), 0)
    if not rate or any(kind == b"mvex" for kind, _ in boxes):
        return None
    lengths = [_track_length(data) for kind, data in boxes if kind == b"trak"]
    longest = max(lengths, default=0)
    return longest / rate if longest else None


def _track_length(trak: bytes) -> int:
    """Duration in units of the movie's clock; 0 when the track is no video."""
    inner = dict(_inner(trak))
    handler = dict(_inner(inner.get(b"mdia", b""))).get(b"hdlr", b"")
    return _durations(inner.get(b"tkhd", b""), b"tkhd")[1] if handler[8:12] == b"vide" else 0


def _durations(data: bytes, kind: bytes) -> tuple[int, int]:
    """(units per second, duration) of an `mvhd`, (track number, duration) of a `tkhd`; zeros when it is too short."""
    wide = data[:1] == b"\x01"  # version 1 has 64-bit times
    first = 20 if wide else 12
    duration = first + (8 if kind == b"tkhd" else 4)  # in a tkhd a reserved word stands between
    end = duration + (8 if wide else 4)
    if len(data) < end:
        return 0, 0
    return int.from_bytes(data[first : first + 4], "big"), int.from_bytes(data[duration:end], "big")
