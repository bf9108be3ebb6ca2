"""Every message between the appliance and the broker: where it goes, who says it, what is in it.

The one table from which the AsyncAPI document is made, and by which the tests judge whatever they hear.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from appliance.commands import Ask, SetPipeline, SetSource
from appliance.documents import Confirmation, Count, Info, PipelineState, Response, SourceState
from appliance.harvest.message import Reply
from appliance.health import Health
from appliance.mqtt import topics
from appliance.mqtt.topics import Topics
from appliance.pipeline.feed import Availability
from appliance.questions.announcement import Announcement
from appliance.reconfigure.desired import DesiredConfig, ReportedConfig
from appliance.result import Event, Gap, Result, Together
from appliance.sync.desired import Desired, Reported
from appliance.sync.pieces import Asked

Standing: TypeAlias = Literal["online", "stopped", "offline"]
"""Of the appliance: at work; ended in order; lost (last will)."""

JSON = "application/json"
TEXT = "text/plain"
JPEG = "image/jpeg"
BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Message:
    """What may stand on a topic."""

    name: str
    words: str
    kind: Any = None
    """The type of its payload, from which the JSON Schema is made; None for bytes and for the schema itself."""
    content: str = JSON


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of topic. QoS and `retain` are what the appliance uses when it speaks, and wants when it listens."""

    name: str
    topic: str
    """With `{parameter}` for every name in it."""
    says: Literal["send", "receive"]
    """As the appliance sees it."""
    messages: tuple[Message, ...]
    qos: int = 1
    retain: bool = False
    words: str = ""


def channels(base: str, device: str) -> tuple[Channel, ...]:
    """All channels; `base` and `device` may be `{base}` and `{device}`."""
    device_topics = Topics(base, device)
    return (
        *_standing(device_topics),
        *_pipelines(device_topics),
        *_heard(device_topics),
        *_models(device_topics),
        *_harvest(device_topics),
        *_configuration(device_topics),
        *_services(device),
    )


def _standing(at: Topics) -> Iterator[Channel]:
    standing = Message("standing", "`online`, `stopped` (ended in order) or `offline` (last will)", Standing, TEXT)
    yield Channel("available", at.available, "send", (standing,), retain=True, words="Whether the device is there")
    yield Channel("info", at.info, "send", (Message("info", "Versions, sources, pipelines", Info),), retain=True)
    health = Message("health", "Status, reasons and figures; every half minute and at every change", Health)
    yield Channel("health", at.health, "send", (health,), retain=True)
    yield Channel("schema", at.schema, "send", (Message("schema", "This document"),), retain=True)
    source = Message("sourceStanding", "`online`, `stale`, `offline` or `disabled`", Availability, TEXT)
    yield Channel("sourceAvailable", at.source_available("{source}"), "send", (source,), retain=True)
    state = Message("sourceState", "What commands have set of a source", SourceState)
    yield Channel("sourceState", at.state("source", "{source}"), "send", (state,), retain=True)
    state = Message("pipelineState", "What commands have set of a pipeline", PipelineState)
    yield Channel("pipelineState", at.state("pipeline", "{pipeline}"), "send", (state,), retain=True)


def _pipelines(at: Topics) -> Iterator[Channel]:
    gap = Message("gap", "Documents of the stream that had to be dropped", Gap)
    result = Message("result", "What one inference said, or that it failed", Result)
    yield Channel(
        "result", at.result("{pipeline}"), "send", (result, gap), qos=0, words="QoS 1 and in order where spooled"
    )
    event = Message("event", "A step in the life of one object or one sound", Event)
    yield Channel("event", at.event("{pipeline}"), "send", (event, gap), words="Spooled, in order, without holes")
    count = Message("count", "How many of a label there are now", Count)
    yield Channel("count", at.count("{pipeline}", "{label}"), "send", (count,), retain=True)
    together = Message("together", "Something was seen and something was heard, and they met", Together)
    yield Channel(
        "together", at.together("{together}"), "send", (together, gap), words="Spooled, in order, without holes"
    )
    picture = Message("snapshot", "The picture of the last new object", content=JPEG)
    yield Channel("snapshot", at.snapshot("{pipeline}"), "send", (picture,), qos=0, retain=True)


def _heard(at: Topics) -> Iterator[Channel]:
    of_source = Message("setSource", "Close or open a source", SetSource)
    yield Channel("setSource", at.command("source", "{source}"), "receive", (of_source,), words="Never retained")
    of_pipeline = Message("setPipeline", "Change a pipeline until it is configured anew", SetPipeline)
    yield Channel(
        "setPipeline", at.command("pipeline", "{pipeline}"), "receive", (of_pipeline,), words="Never retained"
    )
    ask = Message("request", "`status`, `snapshot`, `install` or `reload`; an empty payload is an empty request", Ask)
    yield Channel("request", at.request("{request}"), "receive", (ask,))
    answer = Message("response", "What was asked for, or what was wrong with the command", Response)
    yield Channel(
        "response", at.response("{request}"), "send", (answer,), words="Or on the MQTT 5 response topic of the request"
    )
    stored = Message("acknowledged", "How far a collector has stored a stream", Confirmation)
    yield Channel("acknowledged", at.acknowledged("{stream}"), "receive", (stored,), retain=True)
    reply = Message("answer", "The answer of a model service", content=BYTES)
    yield Channel("answer", at.answer, "receive", (reply,))


def _models(at: Topics) -> Iterator[Channel]:
    desired = Message("modelsDesired", "Versions of models that the device is to run, all of them", Desired)
    yield Channel("modelsDesired", at.models_desired, "receive", (desired,), retain=True)
    reported = Message("modelsReported", "How far the device is with them, and why", Reported)
    yield Channel("modelsReported", at.models_reported, "send", (reported,), retain=True)
    asked = Message("fetch", "Which piece of a file of the registry is needed", Asked)
    yield Channel("fetch", topics.fetch(at.device), "send", (asked,), qos=0)
    piece = Message("piece", "A piece of such a file", content=BYTES)
    yield Channel("piece", at.piece, "receive", (piece,), qos=0)


def _harvest(at: Topics) -> Iterator[Channel]:
    sample = Message("sample", "A kept sample for a model to learn from, with its document", content=BYTES)
    yield Channel("sample", topics.harvest(at.device), "send", (sample,))
    said = Message("sampleSaid", "What became of it", Reply)
    yield Channel("sampleSaid", at.harvest_said, "receive", (said,))


def _configuration(at: Topics) -> Iterator[Channel]:
    desired = Message("configDesired", "Which signed configuration the device is to use", DesiredConfig)
    yield Channel("configDesired", at.config_desired, "receive", (desired,), retain=True)
    reported = Message("configReported", "Which configuration the device uses, and why", ReportedConfig)
    yield Channel("configReported", at.config_reported, "send", (reported,), retain=True)


def _services(device: str) -> Iterator[Channel]:
    question = Message("question", "A sample for a model service", content=BYTES)
    yield Channel("question", topics.question("{model}", device), "send", (question,))
    service = Message("service", "What a model service says of itself", Announcement)
    yield Channel("serviceAvailable", topics.service_available("{service}"), "receive", (service,), retain=True)
