"""What a model service says of itself, retained: which models it has, and how much it has to do."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from appliance.questions.fields import fault_in
from appliance.questions.tensors import BadTensor, parse_object
from engines.manifest import Manifest, Task

MOST_BYTES = 64 << 10

_Text = Annotated[str, Field(max_length=500)]
_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model at a service. Version, digest, task and stages are empty until it has been opened once."""

    name: _Text
    """By which it is asked: the level of the topic."""
    ready: bool
    version: _Text = ""
    digest: _Text = ""
    task: Task | None = None
    stages: tuple[_Text, ...] = ()
    input: Literal["image", "audio"] | None = None
    engine: _Text = "none"
    fault: _Text | None = None
    """Why it does not answer now."""
    queue_ms: _Amount = 0.0
    """What a question that is asked now is expected to wait before the model begins."""
    infer_ms: _Amount = 0.0
    """What one question has taken lately, without the wait."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much there is to do."""

    waiting: int = 0
    """Questions that have come and are not begun."""
    busy: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the last seconds in which its busiest model was at work."""
    queue_ms: _Amount = 0.0
    """Of the model with the longest wait."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """The document on `model-service/<id>/available`."""

    service: _Text
    state: Literal["online", "draining", "offline"]
    """`draining`: it answers what it has and takes no more."""
    group: _Text = ""
    """Of the shared subscription: services of one group share the questions. Never published: whoever knows it can take
    a share that it may not read, and what mosquitto gives it is lost (docs/security.md)."""
    models: Annotated[tuple[ServedModel, ...], Field(max_length=500)] = ()
    load: Load = Load()
    capacity: int = 0
    """Questions of all devices that may wait here at once."""
    each: int = 0
    """Questions of one device that may wait here at once."""
    largest_bytes: int = 0
    """Longest payload that is taken."""
    schema: Literal[1] = 1
    type: Literal["service"] = "service"


_adapter = TypeAdapter(Announcement)


def announcement_to_json(announcement: Announcement) -> bytes:
    """UTF-8 JSON; absent fields and the group are left out."""
    return _adapter.dump_json(announcement, exclude_none=True, exclude={"group"})


def announcement_from_json(payload: bytes) -> Announcement:
    """The other way; raises BadTensor for what is none."""
    if len(payload) > MOST_BYTES:
        raise BadTensor(f"an announcement of {len(payload)} bytes")
    try:
        return _adapter.validate_python(parse_object(payload))
    except (ValidationError, RecursionError) as e:
        raise BadTensor(f"not what a model service says of itself: {fault_in(e)}") from e


def served(name: str, manifest: Manifest, *, engine: str, queue_ms: float, infer_ms: float) -> ServedModel:
    """A model that answers."""
    return ServedModel(
        name=name,
        ready=True,
        version=manifest.version,
        digest=manifest.digest,
        task=manifest.task,
        stages=tuple(stage.name for stage in manifest.stages),
        input=manifest.input.kind,
        engine=engine,
        queue_ms=round(queue_ms, 1),
        infer_ms=round(infer_ms, 1),
    )
