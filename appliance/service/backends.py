"""From the configuration of a service to what runs its models; nothing is opened here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from appliance.catalogue import Catalogue
from appliance.config import Gpu
from appliance.config_errors import ConfigError
from appliance.gpu_options import gpu_options
from appliance.service.backend import Backend, Local
from appliance.service.settings import ServedModel, ServiceConfig
from engines.bundle import Bundle

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

        options = gpu_options(gpu, model.batch, whole=True)
        return Model(bundle, engine=model.engine, threads=model.threads, gpu=options)

    return Local(find, open_model, model.batch)
