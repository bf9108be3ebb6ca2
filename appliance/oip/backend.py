"""The back end of a model service whose networks an existing serving engine runs: Triton, KServe, MLServer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from appliance.oip.engine import OipEngine
from appliance.service.backend import Local
from engines.bundle import Bundle
from engines.model import Model
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import recipe_of


class Served(Local):
    """Prepares and decodes here, by the bundle; only the networks run elsewhere."""

    def __init__(self, find: Callable[[], Bundle], server: str, batch: int | None = None) -> None:
        """`server`: `http(s)://host:port` or `grpc(s)://host:port`. It has a model of the bundle's name, or for a
        bundle of several stages one for each, `<bundle>-<stage>`. `batch`: most samples in one call."""

        def open_model(bundle: Bundle) -> Model:
            stages = {bundle.stage_path(stage.name): stage.name for stage in bundle.manifest.stages}

            def open_engine(path: Path) -> OipEngine:
                stage = stages[path]
                return OipEngine(server, _name(bundle, stage), recipe_of(bundle, stage, GpuOptions()))

            return Model(bundle, open_engine=open_engine)

        super().__init__(find, open_model, batch)


def _name(bundle: Bundle, stage: str) -> str:
    name = bundle.manifest.name
    return name if len(bundle.manifest.stages) == 1 else f"{name}-{stage}"
