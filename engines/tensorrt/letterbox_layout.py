"""What the kernel is given, byte for byte as letterbox.cuh declares it. Needs no GPU."""

from __future__ import annotations

import numpy as np

from engines.engine import Array, EngineError
from engines.manifest import ImageInput

PICTURE = np.dtype(
    [("source", "u8"), ("columns", "u8"), ("rows", "u8")]
    + [(name, "i4") for name in ("width", "height", "left", "top", "placed_width", "placed_height", "nv12", "size")]
)
"""As `Picture` in letterbox.cuh."""

ARGUMENTS = "PP" + "iiiii" + "ffffff"
"""Two addresses, then `Input` of letterbox.cuh by value."""


def size_of(pixels: Array) -> tuple[int, int]:
    """Height and width of a picture; raises EngineError for what is none."""
    if pixels.dtype == np.uint8 and 0 not in pixels.shape:
        if pixels.ndim == 3 and pixels.shape[2] == 3:
            return pixels.shape[0], pixels.shape[1]
        if pixels.ndim == 2 and pixels.shape[0] % 3 == 0 and pixels.shape[1] % 2 == 0:
            return pixels.shape[0] // 3 * 2, pixels.shape[1]
    raise EngineError(
        f"a picture must be uint8 (height, width, 3), or (1.5 * height, width) as NV12, not {pixels.dtype} "
        f"{pixels.shape}"
    )


def input_fields(spec: ImageInput) -> tuple[float, ...]:
    """The fields of `Input` in letterbox.cuh."""
    divisor = (1 / np.array(spec.scale)).astype(np.float32)
    return (
        spec.width,
        spec.height,
        int(spec.layout == "nhwc"),
        int(spec.channels == "rgb"),
        spec.pad,
        *np.array(spec.mean, np.float32).tolist(),
        *divisor.tolist(),
    )
