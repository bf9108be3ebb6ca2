"""Windows of sound into the input tensors of a network, behind the end of the window before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engines.engine import Array, EngineError, Tensors, TensorSpec
from engines.manifest import AudioInput
from engines.stream import Stream


class Sounds:
    """The input tensors of one model, filled row by row; to be used on one thread."""

    def __init__(self, spec: AudioInput, rows: int, inputs: Sequence[TensorSpec]) -> None:
        """`inputs`: those of the network, which tell the type of the constants. Raises EngineError."""
        self._spec = spec
        self._rows = np.zeros((rows, spec.context + spec.samples), np.float32)
        self._state: dict[str, Array] = {name: np.zeros(shape, np.float32) for name, shape in spec.state_shapes.items()}
        self._constants: dict[str, Array] = {}
        wanted = {each.name: each for each in inputs}
        for name, value in spec.constants.items():
            if name not in wanted:
                raise EngineError(f"the network has no input {name}, which the manifest gives the value {value}")
            shape = tuple(size or 1 for size in wanted[name].shape)
            self._constants[name] = np.full(shape, value, wanted[name].dtype)

    def tensors(self, rows: int) -> Tensors:
        """The first `rows` rows as the network's inputs. They belong to this object and change with the next `put`."""
        if rows > len(self._rows):
            self._grow(rows)
        sound = self._rows[:rows]
        if self._spec.layout == "n":
            sound = sound[0]
        elif self._spec.layout == "bcn":
            sound = sound[:, np.newaxis, :]
        return {self._spec.tensor: sound, **self._state, **self._constants}

    def put(self, row: int, samples: Array, stream: Stream) -> tuple[int, int]:
        """Fill one row and move the stream on; returns the stretch of the stream it covers, in samples.

        `samples` float32 (n,); the last window of a recording may be shorter, zeros fill it up. Raises EngineError.
        """
        spec = self._spec
        if samples.ndim != 1 or samples.dtype != np.float32 or not 0 < len(samples) <= spec.samples:
            raise EngineError(
                f"a window of sound must be float32 ({spec.samples},), not {samples.dtype} {samples.shape}"
            )
        if not np.isfinite(samples).all():
            raise EngineError(
                "the sound holds samples that are no numbers (NaN or infinite): is the recording damaged?"
            )
        if row >= len(self._rows):
            self._grow(row + 1)
        target = self._rows[row]
        target[: spec.context] = stream.context
        target[spec.context : spec.context + len(samples)] = samples
        target[spec.context + len(samples) :] = 0
        start, end = stream.position, stream.position + len(samples)
        stream.move(start + spec.hop, end, target[spec.hop : spec.hop + spec.context])
        self._state = stream.state
        return start, end

    def _grow(self, rows: int) -> None:
        grown = np.zeros((rows, self._rows.shape[1]), np.float32)
        grown[: len(self._rows)] = self._rows
        self._rows = grown
