"""What a person knows about a model and its file does not say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from engines.engine import EngineError
from engines.manifest import DecoderName, Fit, Task, Triple

Scale: TypeAlias = Literal["0..1", "-1..1", "0..255", "imagenet"]

SCALES: dict[Scale, tuple[Triple, Triple]] = {
    "0..1": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
    "-1..1": ((127.5, 127.5, 127.5), (1 / 127.5, 1 / 127.5, 1 / 127.5)),
    "0..255": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": ((123.675, 116.28, 103.53), (1 / 58.395, 1 / 57.12, 1 / 57.375)),
}
"""Mean and scale, in the order red, green, blue. `imagenet` is what torchvision's models are trained with."""


@dataclass(frozen=True, slots=True)
class Hints:
    """Each stands for an option of `appliance models add`; None: not given."""

    task: Task | None = None
    decoder: DecoderName | None = None
    labels: tuple[str, ...] | None = None
    size: tuple[int, int] | None = None
    """Width and height of the picture that the network gets."""
    channels: Literal["rgb", "bgr"] | None = None
    scale: Scale | None = None
    fit: Fit | None = None
    boxes: Literal["normalised", "pixels"] | None = None
    """What the corners of an SSD's boxes are: shares of the picture or pixels of the network's input."""
    rate_hz: int | None = None
    samples: int | None = None
    threshold: float | None = None


class Unrecognised(EngineError):
    """A file does not say what kind of model it is; the message says what is missing and how to give it."""
