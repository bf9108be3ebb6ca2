"""The smaller documents beside results, events and health: what commands have set, counts, responses."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import TypedDict


class SourceState(TypedDict):
    """What commands have set of a source."""

    enabled: bool


class PipelineState(TypedDict):
    """What commands have set of a pipeline."""

    enabled: bool
    threshold: float | None
    """None: the model's own."""
    snapshot: bool


class Count(TypedDict):
    """How many of a label a pipeline sees now."""

    count: int


class Response(TypedDict):
    """The answer to a command that was wrong, or to a request."""

    data: Any
    status: Literal["ok", "error"]
    error: str | None
    transaction: str | int | None
    """What the request carried."""


class Confirmation(TypedDict):
    """How far a collector has stored a stream, without a hole."""

    epoch: str
    seq: int


class PipelineInfo(TypedDict, total=False):
    """What a pipeline joins, and what of its samples may leave the device; the latter is absent where nothing may."""

    source: str
    model: str
    offload: str
    asks: str
    """Name of the model at the service."""
    harvest: str
    """What is sent of samples that are kept to learn from; absent where they stay here."""


class Info(TypedDict):
    """Who this appliance is."""

    schema: int
    type: Literal["info"]
    device: str
    version: str
    python: str
    machine: str
    packages: dict[str, str]
    sources: dict[str, str]
    """Addresses, without credentials."""
    pipelines: dict[str, PipelineInfo]
