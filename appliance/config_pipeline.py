"""The configuration's `[[pipeline]]`: which model looks at, or listens to, which source."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from appliance.config_values import Name, Polygon, Seconds, Share, Table, Text, twins
from appliance.harvest.settings import Harvest
from appliance.recorder.settings import Recorder
from appliance.remote.settings import PipelineRemote


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
        description="seconds between two windows of sound; left out: the model's, for voices and words the only one",
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
        for fault in twins("zones", "name", [zone.name for zone in self.zones]):
            raise ValueError(fault)
        return self
