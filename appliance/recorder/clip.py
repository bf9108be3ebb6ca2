"""What is said of a clip: the document beside it, and the names of its files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import TypeAdapter

from appliance.result import SCHEMA, Clock, ModelId, to_json

NAME = re.compile(r"\d{8}-\d{8}T\d{6}Z")
"""A number that counts up, whatever the clock does, and when it began."""
PART, FRAMES, ANSWERS, PICTURE, ABOUT = "part", "frames", "jsonl", "jpg", "json"
"""Endings: a clip in the making; the pictures without loss; an entry of a recording per line; a picture of what began
it; this document. Video and sound end with `webm` and `wav`."""
ENDINGS = (PART, FRAMES, ANSWERS, PICTURE, ABOUT, "webm", "wav", "draft.webm", "draft.wav")
"""All that a clip may consist of, while it is made and after."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is known when a clip begins."""

    name: str
    device: str
    source: str
    kind: Literal["video", "sound"]
    clock: Clock
    exact: bool
    pipeline: dict[str, Any]
    """Its table of the configuration."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that is whole."""

    name: str
    device: str
    pipeline: str
    source: str
    kind: Literal["video", "sound"]
    began_at: str
    ended_at: str
    seconds: float
    clock: Clock
    """`unsynced`: the times are those of a clock that was not known to be right."""
    labels: tuple[str, ...]
    """What was new in it."""
    events: tuple[str, ...]
    """Ids of the events that began in it."""
    answers: int
    """Samples that were answered."""
    kept: int
    """Of these, how many are in the clip."""
    exact: bool
    """Whether a replay is given exactly what the model was given."""
    model: ModelId
    per_s: float
    """Pictures per second of the video, samples per second of the sound."""
    width: int | None = None
    height: int | None = None
    """Of the pictures that the model was given, in pixels."""
    settings: dict[str, Any] | None = None
    """The pipeline's table of the configuration."""
    cut: bool = False
    """The budget allowed no more of it."""
    schema: int = SCHEMA
    type: Literal["clip"] = "clip"

    @property
    def file(self) -> str:
        """Name of the video or the sound."""
        return f"{self.name}.{'webm' if self.kind == 'video' else 'wav'}"


def name_of(number: int, unix_ns: int) -> str:
    return f"{number:08d}-{datetime.fromtimestamp(unix_ns // 10**9, timezone.utc):%Y%m%dT%H%M%SZ}"


def head_line(head: Head) -> bytes:
    return to_json(head)


def read_head(line: bytes) -> Head:
    """Raises pydantic's ValidationError."""
    return TypeAdapter(Head).validate_json(line)


def read_clip(text: bytes) -> Clip:
    """Raises pydantic's ValidationError."""
    return TypeAdapter(Clip).validate_json(text)
