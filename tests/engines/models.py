"""Models for tests: manifests, bundles of files that lie anywhere, and an engine that returns what it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from engines.bundle import Bundle
from engines.engine import Array, EngineError, Tensors, TensorSpec
from engines.manifest import AudioInput, Decoder, ImageInput, Manifest, Stage
from engines.model import Model

ANY_DIGEST = "sha256:" + "0" * 64


def pictures(width: int, height: int, **more: Any) -> ImageInput:
    """An input of this size; letterbox, 0 to 1, RGB unless said otherwise."""
    return ImageInput(
        **({"tensor": "x", "width": width, "height": height, "fit": "letterbox", "scale": (1 / 255,) * 3} | more)
    )


def sounds(samples: int, **more: Any) -> AudioInput:
    return AudioInput(**({"tensor": "x", "rate_hz": 16_000, "samples": samples, "hop": samples} | more))


def manifest(
    task: str, input_: ImageInput | AudioInput, labels: Sequence[str], stages: Sequence[str] = ("only",), **decoder: Any
) -> Manifest:
    """`decoder`: its fields; the threshold is 0.5 unless given."""
    return Manifest.model_validate(
        {
            "schema": 1,
            "name": "tested",
            "version": "1",
            "task": task,
            "labels": tuple(labels),
            "input": input_,
            "stages": tuple(Stage(name=stage, file=f"{stage}.onnx", digest=ANY_DIGEST) for stage in stages),
            "decoder": Decoder(**({"threshold": 0.5} | decoder)),
        }
    )


def bundle(of: Manifest, *files: Path) -> Bundle:
    """A bundle whose networks are these files, in the order of the stages; nothing is checked."""
    places = files or [Path(stage.file) for stage in of.stages]
    return Bundle(of, Path(), dict(zip((stage.file for stage in of.stages), places, strict=True)))


class Scripted:
    """An engine that answers as `answer` says; what it was given is kept as copies."""

    name = "scripted"

    def __init__(
        self,
        inputs: Mapping[str, Sequence[int | None]],
        outputs: Mapping[str, Sequence[int | None]],
        answer: Callable[[Tensors], Mapping[str, Array]],
    ) -> None:
        self.inputs = tuple(TensorSpec(name, tuple(shape), np.dtype("f4")) for name, shape in inputs.items())
        self.outputs = tuple(TensorSpec(name, tuple(shape), np.dtype("f4")) for name, shape in outputs.items())
        self.given: list[dict[str, Array]] = []
        self.open = False
        self.cancelled = threading.Event()
        self._answer = answer

    def run(self, inputs: Tensors) -> dict[str, Array]:
        assert self.open
        self.given.append({name: array.copy() for name, array in inputs.items()})
        return dict(self._answer(inputs))

    def cancel(self) -> None:
        self.cancelled.set()

    def __enter__(self) -> Scripted:
        self.open = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.open = False


def model(of: Manifest, *engines: Scripted, threshold: float | None = None) -> Model:
    """A model whose stages are these engines, not opened yet."""
    waiting = list(engines)
    return Model(bundle(of), threshold=threshold, open_engine=lambda path: waiting.pop(0))


def only(answers: Sequence[object]) -> Any:
    """The single answer, which must be one."""
    [answer] = answers
    assert not isinstance(answer, EngineError), answer
    return answer
