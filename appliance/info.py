"""Who this appliance is: versions, sources, models, pipelines; retained on `…/info`."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from appliance.documents import Info, PipelineInfo
from appliance.result import SCHEMA
from capture.open import redacted

if TYPE_CHECKING:
    from appliance.assembly import Assembly
    from appliance.config import Config
    from appliance.config_pipeline import Pipeline

PACKAGES = ("numpy", "onnxruntime", "opencv-python", "paho-mqtt", "pydantic", "sounddevice", "tensorrt", "pycuda")


def appliance_version() -> str:
    return version("edge-inference-appliance")


def package_versions() -> dict[str, str]:
    """What is installed of the packages that matter to a fault report."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def info(config: Config, assembly: Assembly) -> Info:
    """The document on `…/info`; addresses without credentials."""
    return {
        "schema": SCHEMA,
        "type": "info",
        "device": config.device.name,
        "version": appliance_version(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": package_versions(),
        "sources": {source.name: redacted(source.uri) for source in config.sources},
        "pipelines": {name: _joins(pipeline.config) for name, pipeline in assembly.pipelines.items()},
    }


def _joins(pipeline: Pipeline) -> PipelineInfo:
    """Its source and model; what of its samples a model service may see, and which model of the service that is."""
    told = PipelineInfo(source=pipeline.source, model=pipeline.model)
    remote = pipeline.remote
    if remote is not None and remote.asks:
        told |= PipelineInfo(offload=remote.offload, asks=remote.model or pipeline.model)
    if pipeline.harvest is not None and pipeline.harvest.sends:
        told |= PipelineInfo(harvest=pipeline.harvest.offload)
    return told
