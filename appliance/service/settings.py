"""The configuration of a model service: one TOML file, as strict as the appliance's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from appliance.config import Gpu, Mqtt, host_name
from appliance.config_errors import ConfigError
from appliance.config_file import load_as
from appliance.config_values import File, Name, Seconds, Table, Text
from appliance.mqtt.settings import BrokerAddress
from appliance.oip.settings import Oip
from appliance.traces.settings import Traces


class Serve(Table):
    """Who this service is and how much it takes on."""

    id: Name = Field(
        default_factory=host_name,
        description="this service in answers and topics; two services on one broker need two (letters, digits, . _ -)",
    )
    group: Name = Field("services", description="services of one group share the questions between them")
    state_dir: File | None = Field(
        None,
        description="folder of the installed models (left out: systemd's, else the user's own)",
        examples=["/var/lib/appliance"],
    )
    each: int = Field(8, ge=1, le=1000, description="questions of one device that may wait for one model", examples=[8])
    most: int = Field(
        512, ge=1, le=100_000, description="questions of all devices that may wait for one model", examples=[512]
    )
    largest_kb: int = Field(4096, ge=16, le=65536, description="longest question in kB", examples=[4096])
    largest_megapixels: float = Field(
        8.4, ge=0.1, le=100, description="largest picture in millions of pixels", examples=[8.4]
    )
    readers: int = Field(2, ge=1, le=64, description="threads that decode pictures", examples=[2])
    run_s: Seconds = Field(20.0, description="seconds after which a run of a model is called off", examples=[20.0])
    drain_s: Seconds = Field(
        10.0, description="seconds that questions taken may still need when the service is told to stop", examples=[10]
    )
    log: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least severe message that is logged", examples=["info"]
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="text: a sentence a line; json: an object a line, for programs", examples=["json"]
    )


class ServedModel(Table):
    """One model that it answers for. Without any, those that the appliance brings along."""

    name: Name = Field(description="by which devices ask for it (letters, digits, . _ -)", examples=["people"])
    bundle: Text | None = Field(
        None,
        description="installed name, `name@version`, bundle folder or .onnx file; left out: the name",
        examples=["people@3"],
    )
    engine: Literal["auto", "onnxruntime", "tensorrt"] = Field("auto", description="back end", examples=["auto"])
    threads: int | None = Field(
        None, ge=1, le=256, description="processor threads; left out: chosen for this machine", examples=[2]
    )
    batch: int | None = Field(
        None,
        ge=1,
        le=64,
        description="most questions in one run; left out: 1 on a processor, where batches gain nothing, 8 on a GPU",
        examples=[8],
    )
    server: Text | None = Field(
        None,
        pattern=r"^(http|https|grpc|grpcs)://[^/@\s]+/?$",
        description="a serving engine that runs the networks, asked over the Open Inference Protocol (Triton, KServe, "
        "MLServer); left out: this process runs them",
        examples=["grpc://triton:8001"],
    )


class Collect(Table):
    """Collect the samples that devices send for a model to learn from (docs/harvest.md). Left out: none."""

    folder: File = Field(
        description="where they are stored, by model and device", examples=["/var/lib/appliance/collected"]
    )
    leave_free_mb: int = Field(
        1024, ge=0, le=10_000_000, description="MB of the disk that collecting leaves free", examples=[1024]
    )


class ServiceConfig(Table):
    """The whole file."""

    serve: Serve = Field(default_factory=Serve)
    mqtt: Mqtt = Field(default_factory=Mqtt)
    model: list[ServedModel] = Field(default_factory=list)
    gpu: Gpu = Field(default_factory=Gpu)
    oip: Oip | None = None
    traces: Traces | None = None
    harvest: Collect | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ServiceConfig:
        names = [model.name for model in self.model]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f'[[model]]: the name "{twice[0]}" is used twice; each needs its own')
        try:
            BrokerAddress.parse(self.mqtt.broker)
        except ConfigError as error:
            raise ValueError(f"[mqtt]: broker: {error}") from error
        return self


def load(path: Path) -> ServiceConfig:
    """Read and validate; raises ConfigError with every fault of the file at once."""
    return load_as(ServiceConfig, path, "appliance serve --example")
