"""From the configuration to the harvest, not yet running."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from appliance.config import Config
from appliance.config_pipeline import Pipeline as PipelineConfig
from appliance.harvest.basket import Basket
from appliance.harvest.harvester import Harvester
from appliance.harvest.picker import Picker
from appliance.harvest.sender import Sender
from appliance.harvest.store import DAY_S, FOLDER, Bounds, Store
from appliance.mqtt.topics import Topics
from appliance.remote.pictures import Viewer
from appliance.result import Clock
from appliance.wiring import link_settings


def make_harvester(config: Config, state: Path, clock: Callable[[], Clock]) -> Harvester:
    """One picker for every pipeline with a table `harvest`; nothing on disk is touched yet."""
    pickers = [
        Picker(
            pipeline,
            config.device.name,
            Basket(pipeline.harvest),
            make_store(pipeline, state),
            _viewer(config, pipeline),
            clock,
        )
        for pipeline in config.pipeline
        if pipeline.harvest is not None
    ]
    return Harvester(pickers, clock, _sender(config))


def _sender(config: Config) -> Sender | None:
    """None where no sample may leave by itself. Raises ConfigError when the broker cannot be used."""
    sends = frozenset(each.name for each in config.pipeline if each.harvest is not None and each.harvest.sends)
    mqtt = config.mqtt
    if not sends or mqtt is None:
        return None
    link = link_settings(mqtt, f"{mqtt.base}-{config.device.name}-harvest")
    return Sender(link, Topics(mqtt.base, config.device.name), sends)


def make_store(pipeline: PipelineConfig, state: Path) -> Store:
    """Of a pipeline with a table `harvest`, in the state folder of its appliance."""
    harvest = pipeline.harvest
    assert harvest is not None
    bounds = Bounds(
        per_day=harvest.per_day,
        bytes_per_day=int(harvest.mb_per_day * 1_000_000),
        most_bytes=int(harvest.max_mb * 1_000_000),
        keep_s=harvest.keep_days * DAY_S,
        leave_free=harvest.leave_free_mb * 1_000_000,
    )
    return Store(state / FOLDER / pipeline.name, bounds)


def _viewer(config: Config, pipeline: PipelineConfig) -> Viewer:
    """What stays on the device is looked at for its masks as what leaves it is, and kept whole."""
    harvest = pipeline.harvest
    assert harvest is not None
    masks = [tuple(mask) for camera in config.camera if camera.name == pipeline.source for mask in camera.masks]
    return Viewer("crops" if harvest.offload == "crops" else "frames", masks)
