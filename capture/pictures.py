"""`images:`: single pictures as a source, and the only way in which a foreign picture is decoded."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from capture.opencv import MAX_PICTURE_PIXELS, load_opencv
from capture.options import VideoOptions
from capture.pace import Pace
from capture.picture_header import is_picture_start, read_header
from capture.place import kind_of
from capture.samples import Frame, Pixels, Stamp
from capture.source import CaptureError
from capture.video import VideoSource

MAX_PICTURE_BYTES = 128 * 1024 * 1024
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def is_picture(path: Path) -> bool:
    """Whether the file begins like a JPEG or PNG; false when it cannot be read."""
    try:
        with path.open("rb") as file:
            return is_picture_start(file.read(8))
    except OSError:
        return False


def read_picture(path: Path | str) -> Pixels:
    """The picture in a file, uint8 (height, width, 3) BGR, turned upright as its EXIF says.

    Raises CaptureError, which names the file, for what `decode_picture` refuses and for a file that cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_PICTURE_BYTES + 1)
    except OSError as e:
        raise CaptureError(f"{path}: cannot be read: {e.strerror}") from e
    return decode_picture(data, what=str(path))


def decode_picture(data: bytes, what: str = "picture") -> Pixels:
    """The picture in `data`, uint8 (height, width, 3) BGR, turned upright as its EXIF says.

    Only JPEG and PNG, told by content. Raises CaptureError, before decoding, for anything else, for more than
    MAX_PICTURE_PIXELS or MAX_PICTURE_BYTES, and for a half-written picture. `what` names the picture in messages.
    """
    if len(data) > MAX_PICTURE_BYTES:
        raise CaptureError(f"{what}: larger than {MAX_PICTURE_BYTES // 2**20} MiB, which no picture of ours is")
    try:
        header = read_header(data)
    except ValueError as e:
        raise CaptureError(f"{what}: {e}; give a JPEG or PNG picture") from e
    if header.width * header.height > MAX_PICTURE_PIXELS:
        raise CaptureError(
            f"{what}: {header.width}x{header.height} pixels, more than the {MAX_PICTURE_PIXELS} that are decoded: "
            "make the picture smaller"
        )
    if not header.complete:
        raise CaptureError(f"{what}: the {header.kind} is cut off before its end: copy or write it again")
    return _decoded(data, what, header.kind)


def _decoded(data: bytes, what: str, kind: str) -> Pixels:
    cv2 = load_opencv()
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as e:
        raise CaptureError(f"{what}: the {kind} cannot be decoded: {e.err}") from e
    if pixels is None:
        raise CaptureError(f"{what}: the {kind} cannot be decoded: its contents are damaged")
    return np.asarray(pixels, np.uint8)


class Pictures(VideoSource):
    """The JPEG and PNG pictures of a folder (in order of their names), of a glob pattern, or a single one.

    With `realtime` and `fps` they come at that pace, otherwise as fast as they are read.
    """

    def __init__(self, name: str, place: str, options: VideoOptions) -> None:
        self._paced = options.realtime and options.fps is not None
        super().__init__(name, options, live=self._paced)
        self._place = place
        self._paths: list[Path] = []

    def _open(self) -> str:
        self._paths = _listed(self._place)
        count = len(self._paths)
        rate = f", {self._options.fps:g}/s" if self._paced else ""
        return f"{count} picture{'' if count == 1 else 's'} in {self._place}{rate}"

    def _frames(self) -> Iterator[Frame]:
        pace = Pace(self._closing)
        seq = 0
        while not self._closing.is_set():
            for path in self._paths:
                if self._paced and not pace.wait_until(seq / (self._options.fps or 1.0)):
                    return
                stamp = Stamp.now()
                yield self._frame(seq, stamp, read_picture(path))
                seq += 1
            if not self._options.loop:
                return


def _listed(place: str) -> list[Path]:
    """Paths of the pictures at `place`, sorted; CaptureError when there are none."""
    path = Path(place)
    kind = kind_of(path)
    if kind == "file":
        return [path]
    if kind == "device":
        raise CaptureError(f"{place} is a device or a pipe: write images: and a picture, a folder or a pattern")
    if kind == "folder":
        try:
            paths = sorted(entry for entry in path.iterdir() if entry.suffix.lower() in _SUFFIXES and entry.is_file())
        except OSError as e:
            raise CaptureError(f"{place}: cannot be read: {e.strerror}") from e
        if not paths:
            raise CaptureError(f"{place}: no .jpg, .jpeg or .png picture in this folder")
        return paths
    names = glob.glob(place, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute pattern
    paths = sorted(found for found in map(Path, names) if found.is_file())
    if not paths:
        raise CaptureError(f"{place}: no such file or folder, and no picture whose name fits this pattern")
    return paths
