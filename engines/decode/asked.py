"""What one sample asks of a decoder, and the face of a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from engines.engine import Array, EngineError
from engines.placement import Placement
from engines.predictions import Prediction, Segment

if TYPE_CHECKING:
    from engines.stream import Stream

_PIECE = 1 << 15
"""So many values are looked at together: their mask stays in the cache, one of a whole output would not."""

Shape: TypeAlias = "tuple[int | None, ...]"
"""None: any size."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one sample asks for."""

    threshold: float
    """Predictions that score less are not reported, but for those beside a sure one (`beside` in the manifest)."""
    labels: frozenset[str] | None
    """Predictions with another label are not reported; None: all are."""
    stream: Stream
    placement: Placement | None
    """Where the picture lies in the input; None for sound."""
    heard: tuple[int, int] = (0, 0)
    """The stretch of the stream that the window covers, in samples; (0, 0) for a picture."""
    sound: Array | None = None
    """The window; None for a picture, and where only outputs are compared."""

    def wants(self, label: str) -> bool:
        return self.labels is None or label in self.labels


class Memory(Protocol):
    """What a decoder keeps of one stream of sound from window to window."""

    def finish(self, end: int) -> list[Segment]:
        """The stream ends at sample `end`: what was still going on."""

    def restart(self, start: int) -> None:
        """The stream goes on at sample `start`, after it was finished elsewhere."""


class Decoder(Protocol):
    """Outputs of the last stage to predictions."""

    shapes: dict[str, Shape]
    """The outputs it reads: name and shape of one sample, that is without the first axis."""

    def decode(self, outputs: Mapping[str, Array], asked: Asked) -> tuple[Prediction, ...]:
        """`outputs`: one sample's, without the first axis, of the shapes it declares, float32.

        Raises EngineError for values that cannot be: NaN, infinity, a class without a label.
        """

    def memory(self) -> Memory | None:
        """What a new stream starts to remember for this decoder."""


def check_finite(name: str, values: Array) -> None:
    """Raises EngineError when a value is NaN or infinite."""
    line = values.reshape(-1)
    for first in range(0, line.size, _PIECE):
        if not np.isfinite(line[first : first + _PIECE]).all():
            raise EngineError(f"output {name} holds NaN or infinity: the network cannot be trusted with this sample")


def misfit(name: str, shape: Shape, expected: Shape) -> EngineError | None:
    """What is wrong with an output's shape, if anything; sizes that one of them leaves open always fit."""
    if len(shape) == len(expected) and all(
        have is None or want is None or have == want for have, want in zip(shape, expected, strict=True)
    ):
        return None
    return EngineError(f"output {name} has shape {_in_words(shape)}, expected {_in_words(expected)}")


def _in_words(shape: Shape) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
