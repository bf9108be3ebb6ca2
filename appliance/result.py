"""The result contract, schema version 1: every document the appliance publishes.

One JSON document, UTF-8, the same on MQTT, in `appliance predict` and in `appliance watch`. The JSON Schema in
docs/schema is generated from these types.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal, TypeAlias

from pydantic import TypeAdapter

from engines.predictions import Detection, Label, Segment

SCHEMA = 1

Status: TypeAlias = Literal["ok", "degraded", "failed"]
"""`ok`; `degraded`, a poorer but valid answer; `failed`, no answer, which never means an empty scene."""

Clock: TypeAlias = Literal["synced", "unsynced"]
"""Whether the wall clock was known to be right; a device without a clock battery boots in the past."""


def utc(unix_ns: int) -> str:
    """RFC 3339, UTC, microseconds: `2026-11-21T05:33:19.123456Z`."""
    seconds, ns = divmod(unix_ns, 1_000_000_000)
    moment = datetime.fromtimestamp(seconds, timezone.utc).replace(microsecond=ns // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class ModelId:
    """Which model answered."""

    name: str
    version: str
    digest: str
    """`sha256:` and the digest of the bundle's manifest, which holds the digest of every file in it."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds per stage, monotonic clock; `total` from the grab (sound: from the last sample) to the result."""

    capture: float
    """From the grab until the sample could be used: decoding, turning, masking."""
    wait: float
    """In the mailbox, until the model was free."""
    prepare: float
    infer: float
    decode: float
    total: float
    travel: float | None = None
    """To a model service and back; absent from local answers. `wait` holds what it waited there."""


@dataclass(frozen=True, slots=True)
class FrameSize:
    """The picture that boxes refer to, in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class WindowPlace:
    """The stretch of sound that was heard."""

    start_s: float
    """Seconds of sound since the source was opened."""
    seconds: float
    rate_hz: int
    gap: int = 0
    """Samples lost just before this window."""


@dataclass(frozen=True, slots=True)
class Spool:
    """Place of a document in its stream: what makes loss and duplicates visible.

    `seq` counts from 1 within `epoch`, without holes; an epoch begins when the device's outbox was made new.
    (`stream`, `epoch`, `seq`) is the identity of a document: a duplicate repeats it.
    """

    stream: str
    epoch: str
    seq: int


@dataclass(frozen=True, slots=True)
class Result:
    """What one inference said, or that it failed."""

    id: str
    """ULID."""
    device: str
    pipeline: str
    source: str
    seq: int
    """Number of the frame or window in its source."""
    status: Status
    captured_at: str
    clock: Clock
    model: ModelId
    answered_by: str
    """`local` or `remote:<service>`."""
    engine: str
    reason: str
    """One short sentence: why this engine answered, or why nothing could."""
    latency_ms: Latency | None = None
    frame: FrameSize | None = None
    window: WindowPlace | None = None
    detections: tuple[Detection, ...] | None = None
    """Absent when the task finds no boxes, and when `status` is `failed`."""
    labels: tuple[Label, ...] | None = None
    segments: tuple[Segment, ...] | None = None
    late: Literal[True] | None = None
    """This sample was said to have failed, and was answered afterwards. It starts and ends no event and changes no
    count."""
    file: str | None = None
    """The file in a folder that `appliance predict` was given."""
    spool: Spool | None = None
    schema: int = SCHEMA
    type: Literal["result"] = "result"


@dataclass(frozen=True, slots=True)
class ObjectState:
    """What is known of one object, or one sound, at one moment."""

    label: str
    class_id: int
    score: float
    at: str
    """When it was captured."""
    box: tuple[float, float, float, float] | None = None
    zones: tuple[str, ...] = ()
    """Names of the zones its foot point is in."""


@dataclass(frozen=True, slots=True)
class Event:
    """A step in the life of one object or one sound: `new`, any number of `update`, `end`. Spooled, in order."""

    id: str
    """ULID, the same from `new` to `end`."""
    event: Literal["new", "update", "end"]
    device: str
    pipeline: str
    source: str
    seq: int
    """Number of the frame or window that caused it."""
    at: str
    clock: Clock
    model: ModelId
    reason: str
    before: ObjectState | None = None
    """Absent from `new`."""
    after: ObjectState | None = None
    """Absent from `end`."""
    track: int | None = None
    seconds: float = 0.0
    """Since it was first seen or heard."""
    spool: Spool | None = None
    schema: int = SCHEMA
    type: Literal["event"] = "event"


@dataclass(frozen=True, slots=True)
class Gap:
    """Documents of a stream that were accepted and then had to be dropped."""

    device: str
    first: int
    """Lowest `seq` that is gone."""
    last: int
    """Highest `seq` that is gone."""
    count: int
    reason: str
    at: str
    epoch: str | None = None
    """Of `first` and `last`, when it is an older one than that of `spool`."""
    spool: Spool | None = None
    schema: int = SCHEMA
    type: Literal["gap"] = "gap"


@dataclass(frozen=True, slots=True)
class Part:
    """One of the two that met."""

    pipeline: str
    source: str
    event: str
    """Its `id` in the events of this pipeline."""
    seq: int
    """Number of the frame or window in which it was new."""
    state: ObjectState
    track: int | None = None


@dataclass(frozen=True, slots=True)
class Together:
    """Something was seen and something was heard, and they met. Spooled, in order."""

    id: str
    """ULID."""
    device: str
    name: str
    """Of the table `[[together]]`."""
    at: str
    """When the later of the two was captured."""
    clock: Clock
    apart_ms: float
    """From the beginning of what was seen to the beginning of what was heard; negative when the sound came first."""
    picture: Part
    sound: Part
    spool: Spool | None = None
    schema: int = SCHEMA
    type: Literal["together"] = "together"


Document: TypeAlias = Result | Event | Gap | Together

_adapters: dict[type, TypeAdapter[Any]] = {}


def to_json(document: Any) -> bytes:
    """UTF-8 JSON of a contract type; absent fields are left out."""
    kind = type(document)
    adapter = _adapters.get(kind)
    if adapter is None:
        adapter = _adapters[kind] = TypeAdapter(kind)
    return adapter.dump_json(document, exclude_none=True)
