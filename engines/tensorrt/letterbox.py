"""Pictures prepared on the GPU: pinned memory in, the network's input filled by one kernel, on the network's stream.

The processor only copies the picture into memory that the GPU can reach. Imports pycuda (see `cuda`).
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from engines.engine import Array, EngineError, Tensors
from engines.manifest import ImageInput
from engines.placement import Placement, place
from engines.tensorrt import taps
from engines.tensorrt.cuda import Buffer, Cuda, Kernel, Stream
from engines.tensorrt.letterbox_layout import ARGUMENTS, PICTURE, input_fields, size_of

BLOCK = (32, 8, 1)
PIXELS_PER_THREAD = 4

_SIZES_KEPT = 16
_SMALL, _USUAL = (16, 16, 3), (720, 1280, 3)
_TRIALS = 20


@dataclass(frozen=True, slots=True, eq=False)
class _Geometry:
    """What depends on the size of a picture only."""

    placement: Placement
    columns: Buffer
    rows: Buffer


@dataclass(frozen=True, slots=True, eq=False)
class _Slot:
    """Memory for the picture of one row."""

    host: Array
    seen_at: int
    """Where the GPU reads it in place; 0 where it cannot."""
    device: Buffer | None
    """None where it is read in place."""


class GpuPictures:
    """The input of one network, filled from camera pictures; see `PictureInput`. Of the thread that has entered `Cuda`.

    Also the `Feed` of the session: what is recorded depends on the number of bytes of each picture and nothing else.
    """

    def __init__(self, cuda: Cuda, image: bytes, spec: ImageInput, host: Array, *, mapped: bool) -> None:
        """`image`: the compiled kernel. `host`: the network's input memory, which names the network's input here.
        `mapped`: the GPU may read pictures where they are, which helps where it shares the processor's memory.
        """
        self._cuda, self._spec, self._host = cuda, spec, host
        self._mapped = mapped
        self._kernel: Kernel = cuda.kernel(image, f"letterbox_{spec.dtype}", ARGUMENTS)
        self._pictures = cuda.pinned((len(host),), PICTURE)
        self._described = cuda.allocate(self._pictures.nbytes)
        self._slots: list[_Slot | None] = [None] * len(host)
        self._geometries: dict[tuple[int, int], _Geometry] = {}
        self._generation = 0
        self._shape = input_fields(spec)
        self._stream = cuda.stream()

    # -- PictureInput -------------------------------------------------------------------------------------------------

    def put(self, row: int, pixels: Array) -> Placement:
        """Fill one row from uint8 (height, width, 3) BGR, or (1.5 * height, width) NV12; raises EngineError."""
        nv12 = pixels.ndim == 2
        height, width = size_of(pixels)
        geometry = self._geometry(height, width)
        slot = self._slot(row, pixels.size)
        np.copyto(slot.host[: pixels.size].reshape(pixels.shape), pixels)
        placement = geometry.placement
        self._pictures[row] = (
            slot.seen_at if slot.device is None else slot.device.address,
            geometry.columns.address,
            geometry.rows.address,
            width,
            height,
            placement.left,
            placement.top,
            placement.width,
            placement.height,
            nv12,
            pixels.size,
        )
        return placement

    def tensors(self, rows: int) -> Tensors:
        """The network's own memory: it stands for what the kernel will put there."""
        return {self._spec.tensor: self._host[:rows]}

    # -- Feed ---------------------------------------------------------------------------------------------------------

    def key(self, rows: int) -> Hashable:
        sizes = () if self._mapped else tuple(int(size) for size in self._pictures["size"][:rows])
        return (self._generation, sizes)

    def upload_bytes(self, rows: int) -> int:
        pictures = 0 if self._mapped else int(self._pictures["size"][:rows].sum())
        return pictures + rows * PICTURE.itemsize

    def enqueue(self, stream: Stream, target: int, rows: int) -> None:
        for slot, size in zip(self._slots[:rows], self._pictures["size"], strict=False):
            if slot is not None and slot.device is not None:
                stream.upload(slot.host[:size], slot.device.address)
        stream.upload(self._pictures[:rows], self._described.address)
        self.launch(stream, target, rows)

    def launch(self, stream: Stream, target: int, rows: int) -> None:
        """The kernel alone, on what was uploaded last."""
        across = -(-self._spec.width // (BLOCK[0] * PIXELS_PER_THREAD))
        grid = (across, -(-self._spec.height // BLOCK[1]), rows)
        self._kernel.enqueue(stream, grid, BLOCK, self._described.address, target, *self._shape)

    def try_out(self, target: int) -> None:
        """One small picture, before any counts. Raises EngineError when it cannot be prepared so."""
        self.put(0, np.zeros(_SMALL, np.uint8))
        self.enqueue(self._stream, target, 1)
        self._stream.wait()

    def trial_ms(self, target: int) -> float:
        """What one picture of a usual size costs the GPU, its way there included."""
        self.put(0, np.zeros(_USUAL, np.uint8))
        self.enqueue(self._stream, target, 1)
        return self._stream.timed_ms(lambda: self.enqueue(self._stream, target, 1), _TRIALS)

    def close(self) -> None:
        """Give its memory on the GPU back before the context ends."""
        self._described.free()
        for geometry in self._geometries.values():
            geometry.columns.free()
            geometry.rows.free()
        for slot in self._slots:
            if slot is not None and slot.device is not None:
                slot.device.free()

    # -- memory -------------------------------------------------------------------------------------------------------

    def _geometry(self, height: int, width: int) -> _Geometry:
        """Tables for this size; they are on the GPU when this returns."""
        geometry = self._geometries.get((height, width))
        if geometry is None:
            if len(self._geometries) >= max(_SIZES_KEPT, 2 * len(self._slots)):
                self._forget(next(iter(self._geometries)))
            placement = place(self._spec, height, width)
            columns, rows = taps.across(width, placement.width), taps.down(height, placement.height)
            geometry = _Geometry(placement, self._kept(columns), self._kept(rows))
        else:
            del self._geometries[height, width]
        self._geometries[height, width] = geometry  # the one used last is the last
        return geometry

    def _forget(self, size: tuple[int, int]) -> None:
        """Rows that still showed such a picture show nothing: a batch that is filled up runs through them, too."""
        geometry = self._geometries.pop(size)
        self._pictures["source"][self._pictures["columns"] == geometry.columns.address] = 0
        geometry.columns.free()
        geometry.rows.free()

    def _kept(self, table: Array) -> Buffer:
        pinned = self._cuda.pinned(table.shape, table.dtype)
        pinned[...] = table
        buffer = self._cuda.allocate(table.nbytes)
        self._stream.upload(pinned, buffer.address)
        self._stream.wait()
        return buffer

    def _slot(self, row: int, size: int) -> _Slot:
        """Memory for this row that takes so many bytes; larger pictures than before get new memory."""
        if row >= len(self._slots):
            raise EngineError(f"{row + 1} pictures at once, this plan takes {len(self._slots)}")
        slot = self._slots[row]
        if slot is None or slot.host.size < size:
            if slot is not None and slot.device is not None:
                slot.device.free()
            host = self._cuda.pinned((size,), np.dtype(np.uint8), mapped=self._mapped)
            seen_at = self._cuda.seen_by_the_gpu(host) if self._mapped else 0
            slot = self._slots[row] = _Slot(host, seen_at, None if self._mapped else self._cuda.allocate(size))
            self._generation += 1
        return slot
