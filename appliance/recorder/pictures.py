"""One picture in a recording: JPEG, or PNG where nothing may be lost."""

from __future__ import annotations

import numpy as np

from capture.samples import Pixels

QUALITY = 90
"""Of JPEG: the video made of it loses more."""


def compressed(pixels: Pixels, *, exact: bool) -> bytes:
    """`exact`: every pixel comes back as it was."""
    import cv2

    ending, how = (".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]) if exact else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    done, data = cv2.imencode(ending, pixels, how)
    if not done:
        raise ValueError(f"a picture of shape {pixels.shape} cannot be compressed")
    return data.tobytes()


def decoded(data: bytes) -> Pixels:
    """uint8 (h, w, 3) BGR; raises ValueError for what is no picture."""
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("not a picture")
    return np.asarray(pixels, np.uint8)
