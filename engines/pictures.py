"""Pictures into the input tensor of a network: one pass into a buffer that is there already."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from engines.antialias import Shrinker
from engines.engine import Array, EngineError, EngineUnavailable, Tensors
from engines.manifest import ImageInput
from engines.placement import Placement, place

_ANTIALIASED = ("center-crop", "stretch-antialiased")
_SIZES_KEPT = 16
"""Picture sizes whose geometry is remembered; a model rarely serves more cameras than that."""


class Pictures:
    """The input tensor of one model, filled row by row; to be used on one thread.

    Resized pixels go through a small scratch buffer, are split into planes, and each plane is scaled straight into
    its place in the tensor: no allocation of the size of a picture.
    """

    def __init__(self, spec: ImageInput, rows: int, into: Array | None = None) -> None:
        """`rows`: how many pictures the tensor holds at first; it grows when more are put in. `into`: memory to use as
        the tensor for as many rows as it has. Raises EngineError.
        """
        if 0 in spec.scale:
            raise EngineError(f"input {spec.tensor}: a scale of 0 leaves nothing of a picture")
        if spec.dtype == "uint8" and (any(spec.mean) or any(each != 1 for each in spec.scale)):
            raise EngineError(f"input {spec.tensor}: uint8 takes pixels as they are; remove mean and scale")
        self._cv2: Any = _opencv()
        self._spec = spec
        # Manifests speak in the order of the network's channels; pixels come as BGR.
        self._channel_of_bgr = (2, 1, 0) if spec.channels == "rgb" else (0, 1, 2)
        # Dividing by 255 is exact where multiplying by a rounded 1/255 is not, and as quick.
        self._mean = self._in_order(np.array(spec.mean, np.float32))
        self._divisor = self._in_order((1 / np.array(spec.scale)).astype(np.float32))
        self._border = self._in_order((np.float32(spec.pad) - self._mean) / self._divisor)
        self._geometries: dict[tuple[int, int], _Geometry] = {}
        self._laid: list[_Geometry | None] = []
        self._tensor: Array = np.empty(0, np.uint8) if into is None else into
        if into is None:
            self._grow(rows)
        else:
            self._laid = [None] * len(into)

    def tensors(self, rows: int) -> Tensors:
        """The first `rows` rows as the network's input. They belong to this object and change with the next `put`."""
        if rows > len(self._tensor):
            self._grow(rows)
        return {self._spec.tensor: self._tensor[:rows]}

    def put(self, row: int, pixels: Array) -> Placement:
        """Fill one row from uint8 (height, width, 3) BGR; raises EngineError when it is anything else."""
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
            raise EngineError(f"a picture must be uint8 (height, width, 3), not {pixels.dtype} {pixels.shape}")
        if row >= len(self._tensor):
            self._grow(row + 1)
        geometry = self._geometry(pixels.shape[0], pixels.shape[1])
        if self._laid[row] is not geometry:
            self._fill_border(self._tensor[row], geometry)
            self._laid[row] = geometry
        self._write(self._resized(pixels, geometry), self._tensor[row], geometry)
        return geometry.placement

    def seen(self, pixels: Array) -> Array:
        """What the network sees of a picture, for keeping many: `put` makes the same of it, number by number.

        A copy without what is cut off, in the size it is brought to; the picture itself where that is no less.
        """
        small = self._resized(pixels, self._geometry(pixels.shape[0], pixels.shape[1]))
        return small.copy() if small.nbytes < pixels.nbytes else pixels

    def _grow(self, rows: int) -> None:
        spec = self._spec
        size = (spec.height, spec.width)
        shape = (rows, 3, *size) if spec.layout == "nchw" else (rows, *size, 3)
        grown = np.zeros(shape, spec.dtype)
        grown[: len(self._laid)] = self._tensor[: len(self._laid)].reshape(-1, *shape[1:])
        self._tensor = grown
        self._laid += [None] * (rows - len(self._laid))

    def _geometry(self, height: int, width: int) -> _Geometry:
        geometry = self._geometries.get((height, width))
        if geometry is None:
            if len(self._geometries) >= _SIZES_KEPT:
                del self._geometries[next(iter(self._geometries))]
            geometry = self._geometries[height, width] = _Geometry(self._spec, height, width)
        return geometry

    def _resized(self, pixels: Array, geometry: _Geometry) -> Array:
        """The visible part of the picture in its new size, still uint8 BGR."""
        if geometry.shrinker is not None:
            geometry.shrinker.shrink(pixels, into=geometry.small)
        elif geometry.small.shape == pixels.shape:
            return pixels
        else:
            size = (geometry.small.shape[1], geometry.small.shape[0])
            self._cv2.resize(pixels, size, dst=geometry.small, interpolation=self._cv2.INTER_LINEAR)
        return geometry.small

    def _write(self, small: Array, row: Array, geometry: _Geometry) -> None:
        place = np.s_[geometry.down, geometry.across]
        if self._spec.layout == "nchw":
            targets = [row[channel][place] for channel in self._channel_of_bgr]
            if self._spec.dtype == "uint8":
                self._cv2.split(small, targets)
                return
            self._cv2.split(small, geometry.planes)
            for plane, target, mean, divisor in zip(geometry.planes, targets, self._mean, self._divisor, strict=True):
                _convert(plane, target, mean, divisor)
        elif self._spec.dtype == "uint8":
            self._turn(small, row[place])
        else:
            self._turn(small, geometry.turned)
            # As lines of interleaved colours, which numpy goes through faster than through many pixels of three.
            lines, target = geometry.turned.reshape(len(small), -1), row[place].reshape(len(small), -1)
            mean, divisor = (np.tile(self._in_order(each), small.shape[1]) for each in (self._mean, self._divisor))
            _convert(lines, target, mean, divisor)

    def _turn(self, small: Array, into: Array) -> None:
        """BGR to the order of the network."""
        if self._spec.channels == "rgb":
            self._cv2.cvtColor(small, self._cv2.COLOR_BGR2RGB, dst=into)
        else:
            np.copyto(into, small)

    def _in_order(self, of_bgr: Array) -> Array:
        """Values for B, G, R to the order of the network's channels, or back."""
        return of_bgr[::-1] if self._spec.channels == "rgb" else of_bgr

    def _fill_border(self, row: Array, geometry: _Geometry) -> None:
        """Whatever this row showed outside the picture's place; often nothing is there."""
        down, across = geometry.down, geometry.across
        planes = row if self._spec.layout == "nchw" else np.moveaxis(row, 2, 0)
        border = self._border[:, np.newaxis, np.newaxis]
        planes[:, : down.start] = border
        planes[:, down.stop :] = border
        planes[:, :, : across.start] = border
        planes[:, :, across.stop :] = border


def _opencv() -> ModuleType:
    """The module cv2; EngineUnavailable where there is none, or none that can be loaded."""
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise EngineUnavailable(
            "OpenCV is not installed, and pictures cannot be prepared for a model without it: pip install "
            "'edge-inference-appliance[desktop]'; on a Jetson apt-get install python3-opencv"
        ) from error
    except ImportError as error:
        raise EngineUnavailable(f"OpenCV cannot be loaded, install the library it names: {error}") from error
    return cv2


class _Geometry:
    """What depends on the size of a picture only, and the scratch buffers of that size."""

    def __init__(self, spec: ImageInput, height: int, width: int) -> None:
        self.placement = placement = place(spec, height, width)
        top, left = max(placement.top, 0), max(placement.left, 0)
        self.down = slice(top, min(placement.top + placement.height, spec.height))
        """Rows of the input that the picture fills."""
        self.across = slice(left, min(placement.left + placement.width, spec.width))
        size = (self.down.stop - self.down.start, self.across.stop - self.across.start)
        self.small = np.empty((*size, 3), np.uint8)
        self.turned = np.empty((*size, 3), np.uint8) if spec.layout == "nhwc" else self.small
        self.planes = [np.empty(size, np.uint8) for _ in range(3)] if spec.layout == "nchw" else []
        self.shrinker = Shrinker(placement, *size) if spec.fit in _ANTIALIASED else None


def _convert(values: Array, into: Array, mean: Array, divisor: Array) -> None:
    """`into` = (values - mean) / divisor, computed in float32. A second pass only where there is a mean."""
    if not mean.any():
        np.divide(values, divisor, out=into, dtype=np.float32, casting="unsafe")
    elif into.dtype == np.float32:
        np.subtract(values, mean, out=into, dtype=np.float32, casting="unsafe")
        np.divide(into, divisor, out=into)
    else:
        into[...] = (values - mean) / divisor
