"""From the configuration of a service to what runs its models; nothing is opened here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from appliance.catalogue import Catalogue
from appliance.config import Gpu
from appliance.config_errors import ConfigError
from appliance.service.backend import BATCH_ON_GPU, Backend, Local
from appliance.service.settings import ServedModel, ServiceConfig
from engines.bundle import Bundle
from engines.tensorrt.options import GpuOptions

if TYPE_CHECKING:
    from engines.model import Model


def backends(config: ServiceConfig, catalogue: Catalogue) -> dict[str, Callable[[], Backend]]:
    """What opens each model, by name; raises ConfigError when there is none to serve."""
    models = config.model or [ServedModel(name=each.name) for each in catalogue.brought_along()]
    if not models:
        raise ConfigError("there is no model to serve: add a [[model]] table, or `--model NAME`")
    return {model.name: partial(_backend, model, config.gpu, catalogue) for model in models}


def _backend(model: ServedModel, gpu: Gpu, catalogue: Catalogue) -> Backend:
    def find() -> Bundle:
        return catalogue.find(model.bundle or model.name)

    if model.server is not None:
        from appliance.oip.backend import Served

        return Served(find, model.server, model.batch)

    def open_model(bundle: Bundle) -> Model:
        from engines.model import Model

        return Model(bundle, engine=model.engine, threads=model.threads, gpu=_gpu_options(gpu, model.batch))

    return Local(find, open_model, model.batch)


def _gpu_options(gpu: Gpu, batch: int | None) -> GpuOptions:
    return GpuOptions(
        precision=gpu.precision,
        most_rows=batch or BATCH_ON_GPU,
        graph=gpu.graph,
        whole=True,  # who asks for tensors gets the network's own
        dla_core=gpu.dla_core,
        workspace_mb=gpu.workspace_mb,
    )
