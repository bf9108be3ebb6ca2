"""What is said of a kept sample: the document beside its picture or sound, on the device and at its owner's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter

from appliance.config_values import Name
from appliance.result import SCHEMA, Clock, FrameSize, ModelId, WindowPlace
from engines.predictions import Answer, Detection, Label, Segment

Reason: TypeAlias = Literal["unsure", "disagreed"]
SampleName: TypeAlias = Annotated[str, Field(pattern=r"^\d{8}-\d{8}T\d{6}Z$")]
MOST_BYTES = 1 << 20
"""Of a document; 300 objects with their outlines are less."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one model said of the sample, in pixels of the kept picture."""

    by: str
    """`local`, `remote:<service>` or `shadow`: the version that is being tried beside the active one."""
    model: ModelId
    detections: tuple[Detection, ...] = ()
    labels: tuple[Label, ...] = ()
    segments: tuple[Segment, ...] = ()

    @classmethod
    def of(cls, by: str, model: ModelId, answer: Answer) -> Opinion:
        said = answer.predictions
        return cls(
            by,
            model,
            tuple(each for each in said if isinstance(each, Detection)),
            tuple(each for each in said if isinstance(each, Label)),
            tuple(each for each in said if isinstance(each, Segment)),
        )


@dataclass(frozen=True, slots=True)
class Harvested:
    """A sample that is kept. Nobody has labelled it: the opinions are those of models."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: SampleName
    """A number that counts up, whatever the clock does, and when it was kept."""
    series: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    """Made with the device's folder: within it no number comes twice."""
    device: Name
    pipeline: Name
    source: str
    seq: int
    """Number of the frame or window in its source."""
    captured_at: str
    clock: Clock
    reason: Reason
    why: str
    """One short sentence."""
    kind: Literal["jpg", "wav"]
    """Ending of the file beside this document."""
    digest: str
    """Of that file."""
    said: Opinion
    """By whoever's answer was published, or by the local engine where it asked for a second opinion."""
    other: Opinion | None = None
    frame: FrameSize | None = None
    """Of the kept picture."""
    window: WindowPlace | None = None
    part: tuple[int, int] | None = None
    """Left and top of the kept picture in the whole one, in pixels, where it is a part of it."""
    schema: int = SCHEMA
    type: Literal["harvested"] = "harvested"

    @property
    def number(self) -> int:
        return int(self.name.partition("-")[0])


_ADAPTER: TypeAdapter[Harvested] = TypeAdapter(Harvested)


def to_json(sample: Harvested) -> bytes:
    """UTF-8 JSON; absent fields are left out."""
    return _ADAPTER.dump_json(sample, exclude_none=True)


def from_json(text: bytes) -> Harvested:
    """Raises pydantic's ValidationError."""
    return _ADAPTER.validate_json(text)
