"""The face of a back end: arrays in, arrays out. It decodes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from engines.manifest import ImageInput
    from engines.placement import Placement

Array: TypeAlias = npt.NDArray[Any]
Tensors: TypeAlias = Mapping[str, Array]


class EngineError(Exception):
    """An inference or a model cannot be trusted: it raised, timed out, or returned NaN or the wrong shape."""


class EngineUnavailable(EngineError):
    """This machine cannot run this back end; the message says what is missing and the next step."""


class EngineLost(Exception):
    """The device takes no more work from this process, whatever is tried: end it in order and start afresh.

    Not an EngineError: nobody who leaves an engine alone for a while and tries again may catch it.
    """


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a network."""

    name: str
    shape: tuple[int | None, ...]
    """None where the network takes any size."""
    dtype: np.dtype[Any]


class Engine(Protocol):
    """One network, loaded. Opened with `with`, and used, on one thread."""

    name: str
    """Which back end this is, as published: `onnxruntime`, `tensorrt`."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Run once and block until the outputs are in host memory.

        The returned arrays belong to the engine and may be overwritten by the next call. Raises EngineError.
        """

    def cancel(self) -> None:
        """Make the `run` in progress raise EngineError soon. Callable from any thread; does nothing when idle."""

    def __enter__(self) -> Engine: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PictureInput(Protocol):
    """How pictures get into the input of a network."""

    def put(self, row: int, pixels: Array) -> Placement:
        """Fill one row from uint8 (height, width, 3) BGR, which is read before this returns; raises EngineError."""

    def tensors(self, rows: int) -> Tensors:
        """The first `rows` rows as the network's input, good until the next `put`."""


@runtime_checkable
class PreparesPictures(Protocol):
    """An engine that can prepare pictures itself, where its network runs."""

    @property
    def most_rows(self) -> int | None:
        """Samples that one run takes at most; None: as the manifest says."""

    def pictures(self, spec: ImageInput, rows: int) -> PictureInput | None:
        """Of an open engine. None: it does not prepare such pictures."""
