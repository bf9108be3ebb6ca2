"""The picture in a question: a JPEG from somebody else, decoded within limits that its header is held to first."""

from __future__ import annotations

import numpy as np

from appliance.questions.question import Refused
from capture.picture_header import read_header
from engines.engine import Array

MOST_PIXELS = 1 << 23
"""3840 x 2160 and a little."""
MOST_SCANS = 24
"""A progressive JPEG has about ten. Each costs a pass over all pixels, and an empty one takes a few bytes of the
file."""
_START_OF_SCAN = b"\xff\xda"


def decode_jpeg(data: bytes, most_pixels: int = MOST_PIXELS) -> Array:
    """uint8 (height, width, 3) BGR, read-only, as it lies in the file: EXIF turns nothing. Raises Refused."""
    try:
        header = read_header(data)
    except ValueError as e:
        raise Refused("malformed", f"the picture is no JPEG: {e}") from e
    if header.kind != "JPEG":
        raise Refused("malformed", f"the picture is a {header.kind}: send a JPEG")
    if header.width * header.height > most_pixels:
        raise Refused("too-large", f"a picture of {header.width}x{header.height}: at most {most_pixels} pixels")
    if data.count(_START_OF_SCAN) > MOST_SCANS:
        raise Refused("too-large", f"a JPEG of more than {MOST_SCANS} scans")
    import cv2

    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as e:
        raise Refused("malformed", f"the picture cannot be decoded: {e.err}") from e
    if pixels is None:
        raise Refused("malformed", "the picture cannot be decoded: is the JPEG damaged?")
    pixels.flags.writeable = False
    return pixels
