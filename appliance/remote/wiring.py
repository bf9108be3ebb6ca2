"""From the configuration to what asks the model services; nothing is opened or started here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from appliance.config import Config
from appliance.config_pipeline import Pipeline as PipelineConfig
from appliance.config_sources import Camera
from appliance.mqtt.topics import Topics
from appliance.pipeline.pipeline import Pipeline
from appliance.pipeline.worker import Worker
from appliance.remote.asker import Asker
from appliance.remote.counsel import Counsel, Trace
from appliance.remote.inquirer import Inquirer
from appliance.remote.lane import RoutedLane
from appliance.remote.local_side import EngineStanding, LocalSide
from appliance.remote.pictures import Viewer
from appliance.remote.placing import StagePlacement
from appliance.remote.routed import Routed
from appliance.remote.routing import Routing
from appliance.remote.second_chance import SecondChance
from appliance.remote.service_side import Limits, ServiceSide
from appliance.wiring import link_settings


@dataclass(frozen=True, slots=True)
class RemoteParts:
    """What the pipelines that ask model services share."""

    asker: Asker
    inquirer: Inquirer
    routing: Routing
    limits: Limits

    def wake(self) -> None:
        """Make the threads look at their stop events."""
        self.routing.wake()
        self.inquirer.wake()
        self.asker.wake()

    def routes(self, pipeline: PipelineConfig) -> bool:
        """Whether whole pictures of this pipeline may be answered by a service.

        Sound never is: its models remember what they heard, so every window has to pass the same memory, which is on
        the device. A service can run their stages.
        """
        return pipeline.remote is not None and pipeline.remote.offload in ("crops", "frames")

    def placement(self, pipeline: PipelineConfig, device: str) -> StagePlacement | None:
        """Where the stages of this pipeline's model run; None: all of them here."""
        remote = pipeline.remote
        if remote is None or not remote.asks or not remote.place:
            return None
        return StagePlacement(
            self.asker,
            remote.place,
            device=device,
            offload=remote.offload,
            patience_s=remote.deadline_s,
            asked_as=remote.model,
            allow=lambda size: self.limits.take(size, time.monotonic()),
        )

    def route(
        self,
        pipeline: Pipeline,
        worker: Worker,
        camera: Camera,
        celsius: Callable[[], float | None],
        trace: Trace | None = None,
    ) -> RoutedLane:
        """Put the router between this pipeline and its worker, which serves the lane that is given back. `trace`: see
        Counsel."""
        remote = pipeline.config.remote
        assert remote is not None, f"{pipeline.name} asks nobody"
        tell = partial(self.routing.tell, pipeline.name)
        lane = RoutedLane(pipeline, worker.ready, tell)

        def standing() -> EngineStanding:
            return EngineStanding(worker.state, worker.fault or "")

        local = LocalSide(lane, standing, remote.local_budget_s, remote.hottest_c, celsius)
        name = remote.model or pipeline.config.model.partition("@")[0]
        service = ServiceSide(self.inquirer, name, remote, self.limits, time.monotonic())
        viewer = Viewer(remote.offload, [tuple(mask) for mask in camera.masks])
        chance = SecondChance(remote.keep, pipeline, service, viewer, self.inquirer, tell)
        counsel = Counsel(pipeline, service, viewer, tell, trace)
        self.routing.routed[pipeline.name] = Routed(pipeline, remote, local, service, viewer, counsel, chance)
        return lane


def make_parts(config: Config, topics: Topics) -> RemoteParts:
    """Of a configuration with a pipeline that may ask. Raises ConfigError when the broker cannot be used."""
    assert config.mqtt is not None, "whoever asks has a broker: the configuration saw to it"
    client_id = f"{config.mqtt.base}-{config.device.name}-asker"
    asker = Asker(link_settings(config.mqtt, client_id), topics)
    limits = Limits(config.remote, time.monotonic())
    return RemoteParts(asker, Inquirer(asker, config.device.name), Routing(), limits)
