"""What the page has to know before anything happens: who this is, what is seen and heard, and by which model."""

from __future__ import annotations

from typing import Any

from appliance.config import Config
from appliance.config_pipeline import Pipeline
from appliance.config_sources import Camera, Microphone
from appliance.info import appliance_version
from capture.open import redacted


def description(config: Config, *, locked: bool) -> dict[str, Any]:
    """`locked`: the page has a password, and so a way out. Addresses come without credentials."""
    return {
        "device": config.device.name,
        "version": appliance_version(),
        "locked": locked,
        "published": config.mqtt is not None,
        "sources": [_source(source) for source in config.sources],
        "pipelines": [_pipeline(pipeline) for pipeline in config.pipeline],
    }


def _source(source: Camera | Microphone) -> dict[str, Any]:
    masks = list(source.masks) if isinstance(source, Camera) else []
    return {
        "name": source.name,
        "kind": "camera" if isinstance(source, Camera) else "microphone",
        "uri": redacted(source.uri),
        "stale_after_s": source.stale_after_s,
        "masks": masks,
    }


def _pipeline(pipeline: Pipeline) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "source": pipeline.source,
        "model": pipeline.model,
        "zones": [{"name": zone.name, "polygon": list(zone.polygon)} for zone in pipeline.zones],
        "remote": pipeline.remote is not None and pipeline.remote.asks,
    }
