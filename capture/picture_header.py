"""How large a picture claims to be, read from its header, before anything is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"

# ITU-T T.81, table B.1: start-of-frame markers (C4, C8 and CC are something else), and markers without a length.
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
_START_OF_SCAN = 0xDA


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What the file says about itself; nothing of it is verified by decoding."""

    kind: Literal["JPEG", "PNG"]
    width: int
    height: int
    complete: bool
    """False when the file ends before its end mark: it is half-written."""


def is_picture_start(start: bytes) -> bool:
    """Whether a file that begins so claims to be a JPEG or PNG."""
    return start.startswith((_PNG_SIGNATURE, _JPEG_START))


def read_header(data: bytes) -> PictureHeader:
    """Header of a JPEG or PNG, told by content. Raises ValueError, with the reason, for anything else."""
    if data.startswith(_PNG_SIGNATURE):
        return _png(data)
    if data.startswith(_JPEG_START):
        return _jpeg(data)
    raise ValueError("neither a JPEG nor a PNG" if data else "the file is empty")


def _png(data: bytes) -> PictureHeader:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise ValueError("a PNG without a header")
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return _checked("PNG", width, height, complete=_chunks_end(data))


def _chunks_end(data: bytes) -> bool:
    """Whether every chunk up to the last is there whole: OpenCV makes room for as many bytes as a chunk claims.

    Format: PNG, section 5.3: a length, four letters, the data, a checksum.
    """
    at = len(_PNG_SIGNATURE)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IEND":
            return end <= len(data)
        at = end
    return False


def _jpeg(data: bytes) -> PictureHeader:
    """Walk the segments up to the first scan; the first start-of-frame counts, as it does for the decoder."""
    size: tuple[int, int] | None = None
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":  # fill bytes
            at += 1
        if len(data) < at + 4 or data[at] != 0xFF:
            raise ValueError("a JPEG whose header is broken or cut off")
        marker = data[at + 1]
        if marker in _STANDALONE:
            at += 2
            continue
        if marker == _START_OF_SCAN:
            break
        if marker in _START_OF_FRAME and size is None:
            size = int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    if size is None:
        raise ValueError("a JPEG without a size")
    return _checked("JPEG", *size, complete=data.find(_JPEG_END, at) > 0)


def _checked(kind: Literal["JPEG", "PNG"], width: int, height: int, *, complete: bool) -> PictureHeader:
    if width < 1 or height < 1:
        raise ValueError(f"a {kind} of {width}x{height} pixels")
    return PictureHeader(kind, width, height, complete)
