"""The configuration: one TOML file, validated whole, with errors that name the file, the key, the value and the fix."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from appliance.config_errors import ConfigError, explain
from appliance.config_values import File, Name, Polygon, Seconds, Share, Table, Text
from appliance.harvest.settings import Harvest
from appliance.home_assistant.settings import HomeAssistant
from appliance.metrics.settings import Metrics
from appliance.oip.settings import Oip
from appliance.page.settings import Page
from appliance.reconfigure.settings import Reconfigure
from appliance.recorder.settings import Recorder
from appliance.remote.settings import PipelineRemote, Remote
from appliance.sync.settings import Models
from appliance.text_file import NotText, read_text
from appliance.together.settings import Together
from appliance.traces.settings import Traces

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST_BYTES = 4 << 20
"""A configuration is shorter; a log given by mistake is not read to its end."""

SECRET_MOST_BYTES = 64 << 10

Root = TypeVar("Root", bound=Table)


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
        examples=["/etc/appliance/credentials/mqtt-password"],
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


class Source(Table):
    """What cameras and microphones share."""

    name: Name = Field(description="name of the source in pipelines, topics and results (letters, digits, . _ -)")
    enabled: bool = Field(True, description="false leaves the device closed", examples=[True])
    loop: bool = Field(False, description="start a file again at its end", examples=[True])
    realtime: bool = Field(True, description="false reads a file as fast as possible", examples=[False])
    stale_after_s: Seconds = Field(
        3.0, description="seconds without new content until the source counts as stale", examples=[3.0]
    )


ONE_READER = ("camera:", "csi:")
"""Devices that one reader at a time can open."""


class Camera(Source):
    """A source of pictures."""

    uri: Text = Field(
        description="camera:0, camera:/dev/v4l/by-id/…, csi:0, rtsp://…, file:…, images:…, scene:digits, scene:shapes",
        examples=["rtsp://192.168.1.20/stream1"],
    )
    username: Text | None = Field(None, description="user name on an RTSP camera", examples=["viewer"])
    password_file: File | None = Field(
        None, description="file that holds the RTSP password; credential:NAME reads a systemd credential"
    )
    width: int | None = Field(None, ge=16, le=16384, description="width to ask for, in pixels", examples=[1280])
    height: int | None = Field(None, ge=16, le=16384, description="height to ask for, in pixels", examples=[720])
    fps: float | None = Field(
        None, ge=0.001, le=1000, description="a number of pictures per second to ask for", examples=[15]
    )
    pixel_format: str | None = Field(
        None, pattern=r"^[A-Z0-9 ]{4}$", description="four letters, such as YUYV or MJPG", examples=["MJPG"]
    )
    rotate: Literal[0, 90, 180, 270] = Field(0, description="degrees clockwise: 0, 90, 180 or 270", examples=[90])
    flip: Literal["none", "horizontal", "vertical", "both"] = Field(
        "none", description="mirror after turning: none, horizontal, vertical or both", examples=["horizontal"]
    )
    crop: tuple[int, int, int, int] | None = Field(
        None, description="the part to keep after turning: [x, y, width, height] in pixels", examples=[[0, 0, 640, 480]]
    )
    masks: list[Polygon] = Field(
        [],
        description="privacy masks, painted black before anything else sees the picture: lists of points "
        "[x, y] in pixels of the final picture",
        examples=[[[[0, 0], [200, 0], [200, 150]]]],
    )
    seed: int = Field(0, ge=0, le=2**63 - 1, description="seed of a synthetic scene", examples=[0])

    @model_validator(mode="after")
    def _login(self) -> Camera:
        if self.username is not None and not self.uri.startswith(("rtsp://", "rtsps://")):
            raise ValueError("username is for rtsp:// cameras: leave it out")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file is of no use without username: give both")
        return self


class Microphone(Source):
    """A source of sound. Its rate is the one its models need."""

    uri: Text = Field(description="mic: (the default), mic:name, or wav:file", examples=["mic:USB"])
    zeros_after_s: Seconds | None = Field(
        2.0,
        description="seconds of exact silence after which the microphone counts as unplugged; a microphone with a "
        "digital mute needs a longer time",
        examples=[2.0],
    )


class Motion(Table):
    """Run the model only while something moves."""

    threshold: Share = Field(0.002, description="share of the picture that must change", examples=[0.002])
    hold_s: Seconds = Field(2.0, description="seconds to go on after the last movement", examples=[2.0])


class Zone(Table):
    """A named part of the picture."""

    name: Name = Field(description="name of the zone in events (letters, digits, . _ -)", examples=["gate"])
    polygon: Polygon


class Pipeline(Table):
    """One model looking at, or listening to, one source."""

    name: Name = Field(
        description="name of the pipeline in topics and results (letters, digits, . _ -)", examples=["dock-people"]
    )
    source: Text = Field(description="name of a [[camera]] or [[microphone]]", examples=["dock"])
    model: Text = Field(
        description="an installed model (name or name@version), a bundle folder, or an .onnx file",
        examples=["people"],
    )
    engine: Literal["auto", "onnxruntime", "tensorrt"] = Field(
        "auto", description="auto takes the first that works on this machine", examples=["auto"]
    )
    enabled: bool = Field(True, description="false loads nothing until a command enables it", examples=[True])
    threshold: Share | None = Field(None, description="least score from 0 to 1; left out: the model's", examples=[0.4])
    labels: list[Text] | None = Field(None, description="only these labels; left out: all", examples=[["person"]])
    every: bool = Field(
        False,
        description="true answers every sample in order (a short queue); false always takes the newest",
        examples=[False],
    )
    hop_s: Seconds | None = Field(
        None,
        description="seconds between two windows of sound; left out: the model's, the only one for a voice detector",
        examples=[0.2],
    )
    max_per_s: float | None = Field(None, ge=0.0001, le=10_000, description="most inferences per second", examples=[5])
    timeout_s: Seconds = Field(2.0, description="seconds after which an inference counts as failed", examples=[2.0])
    results: Literal["live", "spooled", "off"] = Field(
        "live", description="live: QoS 0; spooled: kept like events; off: events only", examples=["live"]
    )
    events: bool = Field(True, description="follow objects and sounds and publish new, update and end", examples=[True])
    confirm: int = Field(3, ge=1, le=100, description="sightings until a new object is believed", examples=[3])
    forget_s: Seconds = Field(1.5, description="seconds unseen until an object has ended", examples=[1.5])
    update_s: Seconds = Field(5.0, description="seconds between two update events of one object", examples=[5.0])
    snapshot: bool = Field(False, description="publish a JPEG of the last event, retained", examples=[True])
    motion: Motion | None = None
    remote: PipelineRemote | None = None
    recorder: Recorder | None = None
    harvest: Harvest | None = None
    zones: list[Zone] = Field([], description="named parts of the picture")

    @model_validator(mode="after")
    def _recorded_events(self) -> Pipeline:
        if self.recorder is not None and not self.events:
            raise ValueError("recorder: a clip begins with an event: leave out events = false")
        return self

    @model_validator(mode="after")
    def _unique_zones(self) -> Pipeline:
        for fault in _twins("zones", "name", [zone.name for zone in self.zones]):
            raise ValueError(fault)
        return self


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
            *_twins("[[camera]] and [[microphone]]", "name", [source.name for source in self.sources]),
            *_twins("[[pipeline]]", "name", [pipeline.name for pipeline in self.pipeline]),
            *_twins("[[camera]]", "uri", [c.uri for c in self.camera if c.uri.startswith(ONE_READER)]),
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
        yield from _twins("[[together]] and [[pipeline]]", "name", [n for n in taken if n in self._pairs])
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


def _twins(where: str, key: str, values: list[str]) -> Iterator[str]:
    for value in sorted({value for value in values if values.count(value) > 1}):
        more = "; one camera can serve several pipelines" if key == "uri" else ""
        yield f'{where}: the {key} "{value}" is used twice; each needs its own{more}'


def load(path: Path) -> Config:
    """Read and validate; raises ConfigError with every fault of the file at once."""
    return load_as(Config, path, "appliance config example")


def load_as(root: type[Root], path: Path, example: str) -> Root:
    """The file as another root than the appliance's; `example` is the command that writes one to start from."""
    return validate(root, load_raw(path, example), str(path))


def load_raw(path: Path, example: str = "appliance config example") -> dict[str, Any]:
    """The tables of a file, not yet judged. Raises ConfigError."""
    try:
        text = read_text(path, MOST_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `{example} > {path.name}` writes one to start from") from None
    except (OSError, NotText) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: cannot be read: {reason}") from error
    return tables(text, str(path))


def parse(text: str, where: str) -> Config:
    """Validate TOML text; `where` names it in errors. Raises ConfigError."""
    return parse_as(Config, text, where)


def parse_as(root: type[Root], text: str, where: str) -> Root:
    """As `parse`, for another root."""
    return validate(root, tables(text, where), where)


def tables(text: str, where: str) -> dict[str, Any]:
    """The tables of TOML text, not yet judged. Raises ConfigError."""
    try:
        raw: dict[str, Any] = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError is one; a number of 5000 digits is another
        raise ConfigError(f"{where}: not valid TOML: {error}") from error
    except RecursionError:
        raise ConfigError(f"{where}: not a configuration: its lists are nested too deep") from None
    return raw


def validate(root: type[Root], raw: dict[str, Any], where: str) -> Root:
    """Judge tables; raises ConfigError with every fault at once."""
    try:
        return root.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(dict.fromkeys(explain(error, raw, where, root)))) from error


def secret(path: Path) -> str:
    """The first line of a secret's file; `credential:NAME` looks in systemd's $CREDENTIALS_DIRECTORY.

    Raises ConfigError. The secret itself is never part of a message.
    """
    text = str(path)
    if text.startswith("credential:"):
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise ConfigError(f"{text}: no systemd credentials here; use a file, or run as the service")
        path = Path(folder) / text.removeprefix("credential:")
    try:
        lines = read_text(path, SECRET_MOST_BYTES).splitlines()
    except (OSError, NotText) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: the secret cannot be read: {reason}") from None
    if not lines or not lines[0]:
        raise ConfigError(f"{path}: the file is empty; put the secret on its first line")
    return lines[0]
