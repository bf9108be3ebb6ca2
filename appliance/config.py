"""The configuration: one TOML file, validated whole, with errors that name the file, the key, the value and the fix."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from appliance.config_file import load_as, parse_as
from appliance.config_pipeline import Pipeline
from appliance.config_sources import ONE_READER, Camera, Microphone
from appliance.config_values import File, Name, Table, Text, twins
from appliance.home_assistant.settings import HomeAssistant
from appliance.metrics.settings import Metrics
from appliance.oip.settings import Oip
from appliance.page.settings import Page
from appliance.reconfigure.settings import Reconfigure
from appliance.remote.settings import Remote
from appliance.sync.settings import Models
from appliance.together.settings import Together
from appliance.traces.settings import Traces


def host_name() -> str:
    """This machine's name, reduced to what a topic may hold."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64].lstrip("._-") or "device"


class Device(Table):
    """Who this device is."""

    name: Name = Field(
        default_factory=host_name, description="this device in every topic and result (letters, digits, . _ -)"
    )
    state_dir: File | None = Field(
        None,
        description="folder for the outbox and installed models (left out: systemd's, else the user's own)",
        examples=["/var/lib/appliance"],
    )
    max_batch: int | None = Field(
        None,
        ge=1,
        le=64,
        description="most samples of different sources in one run of a model that takes batches; left out: 1 on a "
        "processor, where batches gain nothing, and one of each source on a GPU",
        examples=[4],
    )
    threads: int | None = Field(
        None, ge=1, le=64, description="processor threads per model; left out: chosen for this machine", examples=[1]
    )
    log: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe message that is logged", examples=["info"]
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="text: a sentence a line, for people; json: an object a line, for programs. Under systemd each "
        "line brings its priority",
        examples=["json"],
    )


class Gpu(Table):
    """How models run on an NVIDIA GPU. Of no effect where there is none."""

    precision: Literal["auto", "fp32", "fp16", "int8"] = Field(
        "auto",
        description="auto takes the quickest that sees what the model sees without a GPU; int8 needs a bundle that "
        "brings it",
        examples=["auto"],
    )
    build: bool = Field(
        True,
        description="build missing plans while ONNX Runtime answers; false leaves it to `appliance models build`",
        examples=[True],
    )
    graph: bool = Field(True, description="record the work of a frame as one CUDA graph", examples=[True])
    dla_core: int | None = Field(
        None, ge=0, le=7, description="deep-learning accelerator of an Orin to run on; left out: the GPU", examples=[0]
    )
    workspace_mb: int = Field(
        1024, ge=16, le=65536, description="most memory in MB that one layer may use", examples=[1024]
    )


class Mqtt(Table):
    """The broker. Without this table results are computed and counted, not published."""

    broker: str = Field(
        "mqtt://localhost:1883",
        pattern=r"^mqtts?://[^/@\s]+$",
        description="mqtt://host:port, or mqtts://host:port for TLS; credentials go into their own keys",
        examples=["mqtt://localhost:1883"],
    )
    base: Name = Field("appliance", description="first level of every topic (letters, digits, . _ -)")
    username: Text | None = Field(None, description="user name on the broker", examples=["dock-1"])
    password_file: File | None = Field(
        None,
        description="file that holds the password; credential:NAME reads a systemd credential",
        examples=["credential:mqtt-password"],
    )
    ca_file: File | None = Field(None, description="certificate authority of the broker (PEM)", examples=["ca.crt"])
    cert_file: File | None = Field(None, description="client certificate (PEM)", examples=["dock-1.crt"])
    key_file: File | None = Field(
        None, description="key of the client certificate (PEM); credential:NAME reads a systemd credential"
    )

    @model_validator(mode="after")
    def _pairs(self) -> Mqtt:
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file is of no use without username: give both")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together: give both or neither")
        if self.ca_file is not None and not self.broker.startswith("mqtts://"):
            raise ValueError('ca_file needs TLS: write broker = "mqtts://…"')
        return self


class Outbox(Table):
    """What is kept on disk until the broker, or the collector behind it, has it."""

    max_mb: int = Field(256, ge=1, le=1_000_000, description="largest size on disk in MB", examples=[256])
    acknowledge: Literal["broker", "end-to-end"] = Field(
        "broker",
        description="who must have an event before it is forgotten: the broker, or the collector that publishes "
        "how far it has stored the stream",
        examples=["broker"],
    )
    drain_per_s: float = Field(
        1000.0,
        ge=0.1,
        le=1_000_000,
        description="most events a second after an outage, unless more come in; a default mosquitto keeps 1000 "
        "messages for a subscriber that is slower, and throws the rest away although it acknowledged them (raise it "
        "together with the broker's max_queued_messages; end-to-end acknowledgement is not held back)",
        examples=[1000.0],
    )
    require_subscriber: bool = Field(True, description="keep events while nobody subscribes to them", examples=[True])


class Config(Table):
    """The whole file."""

    device: Device = Field(default_factory=lambda: Device())
    gpu: Gpu = Field(default_factory=lambda: Gpu())
    mqtt: Mqtt | None = None
    home_assistant: HomeAssistant | None = None
    outbox: Outbox = Field(default_factory=lambda: Outbox())
    remote: Remote = Field(default_factory=lambda: Remote())
    oip: Oip | None = None
    page: Page | None = None
    metrics: Metrics | None = None
    traces: Traces | None = None
    models: Models | None = None
    reconfigure: Reconfigure | None = None
    camera: list[Camera] = Field([])
    microphone: list[Microphone] = Field([])
    pipeline: list[Pipeline] = Field([])
    together: list[Together] = Field([])

    @property
    def sources(self) -> list[Camera | Microphone]:
        return [*self.camera, *self.microphone]

    @model_validator(mode="after")
    def _references(self) -> Config:
        faults = [
            *twins("[[camera]] and [[microphone]]", "name", [source.name for source in self.sources]),
            *twins("[[pipeline]]", "name", [pipeline.name for pipeline in self.pipeline]),
            *twins("[[camera]]", "uri", [c.uri for c in self.camera if c.uri.startswith(ONE_READER)]),
            *self._unknown_sources(),
            *self._mixed_streams(),
            *self._unknown_pairs(),
            *self._unreachable_services(),
            *self._impossible_harvests(),
            *self._unheard_discovery(),
            *self._unreachable_registry(),
        ]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _unknown_sources(self) -> Iterator[str]:
        names = {source.name for source in self.sources}
        known = ", ".join(sorted(names)) or "none is configured"
        for pipeline in self.pipeline:
            if pipeline.source not in names:
                yield (
                    f'[[pipeline]] {pipeline.name}: source = "{pipeline.source}": no camera or microphone has this '
                    f"name; known: {known}"
                )

    def _unknown_pairs(self) -> Iterator[str]:
        cameras = {camera.name for camera in self.camera}
        pipelines = {pipeline.name: pipeline for pipeline in self.pipeline}
        taken = [*pipelines, *(f"{name}-results" for name in pipelines), *(each.name for each in self.together)]
        yield from twins("[[together]] and [[pipeline]]", "name", [n for n in taken if n in self._pairs])
        for each in self.together:
            for key, name, seen in (("picture", each.picture, True), ("sound", each.sound, False)):
                pipeline = pipelines.get(name)
                where = f'[[together]] {each.name}: {key} = "{name}"'
                kind = "camera" if seen else "microphone"
                if pipeline is None:
                    yield f"{where}: no pipeline has this name; known: {', '.join(pipelines) or 'none'}"
                elif (pipeline.source in cameras) is not seen:
                    yield f"{where}: its source is no {kind}: name a pipeline of a {kind}"
                elif not pipeline.events:
                    yield f"{where}: it makes no events: leave out events = false there"

    @property
    def _pairs(self) -> set[str]:
        return {each.name for each in self.together}

    def _mixed_streams(self) -> Iterator[str]:
        """Spooled results have a stream of their own beside that of the pipeline's events."""
        names = {pipeline.name for pipeline in self.pipeline}
        for pipeline in self.pipeline:
            if pipeline.results == "spooled" and f"{pipeline.name}-results" in names:
                yield (
                    f"[[pipeline]] {pipeline.name}-results: the spooled results of {pipeline.name} go by this name: "
                    "choose another"
                )

    def _unreachable_services(self) -> Iterator[str]:
        if self.mqtt is not None:
            return
        for pipeline in self.pipeline:
            if pipeline.remote is not None and pipeline.remote.asks:
                yield (
                    f"[[pipeline]] {pipeline.name}: remote: a model service is asked through the broker: add an [mqtt] "
                    'table, or write offload = "never"'
                )

    def _impossible_harvests(self) -> Iterator[str]:
        microphones = {microphone.name for microphone in self.microphone}
        for pipeline in self.pipeline:
            harvest, where = pipeline.harvest, f"[[pipeline]] {pipeline.name}: harvest"
            if harvest is None or not harvest.sends:
                continue
            asks = pipeline.remote
            if self.mqtt is None:
                yield f'{where}: samples are sent through the broker: add an [mqtt] table, or write offload = "never"'
            if asks is not None and asks.offload not in (harvest.offload, "frames"):
                yield (
                    f'{where}: offload = "{harvest.offload}": remote: offload = "{asks.offload}" lets less leave the '
                    "device: write the same in both"
                )
            if harvest.offload == "crops" and pipeline.source in microphones:
                yield f'{where}: offload = "crops": sound has no parts to choose from: write "frames" or "never"'

    def _unheard_discovery(self) -> Iterator[str]:
        if self.home_assistant is not None and self.mqtt is None:
            yield "[home_assistant]: Home Assistant is told through the broker: add an [mqtt] table"

    def _unreachable_registry(self) -> Iterator[str]:
        if self.models is not None and self.models.registry == "mqtt" and self.mqtt is None:
            yield '[models]: registry = "mqtt": it is asked through the broker: add an [mqtt] table, or give an address'
        if self.reconfigure is not None and (self.models is None or self.mqtt is None):
            yield (
                "[reconfigure]: what its owner signs comes from the registry of [models], and is asked for through the "
                "broker: add both tables"
            )


def load(path: Path) -> Config:
    """Read and validate; raises ConfigError with every fault of the file at once."""
    return load_as(Config, path, "appliance config example")


def parse(text: str, where: str) -> Config:
    """Validate TOML text; `where` names it in errors. Raises ConfigError."""
    return parse_as(Config, text, where)
