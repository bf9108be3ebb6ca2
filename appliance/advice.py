"""What is odd about a configuration that can be used: sentences for `config check`. Looks at files, opens no device."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.catalogue import Catalogue
from appliance.config import Config
from appliance.config_errors import ConfigError
from appliance.pipeline import fit
from appliance.secret import known_to_the_service_alone, secret
from appliance.wiring import link_settings
from engines.engine import EngineError


def advice(config: Config, catalogue: Catalogue) -> Iterator[str]:
    """One sentence for each thing that its owner may not have meant."""
    yield from _pipelines(config, catalogue)
    yield from _unused(config)
    for camera in config.camera:
        if "@" in camera.uri.partition("//")[2]:
            yield f"[[camera]] {camera.name}: credentials in the address; use username and password_file"
    yield from _secrets(config)


def _pipelines(config: Config, catalogue: Catalogue) -> Iterator[str]:
    microphones = {microphone.name for microphone in config.microphone}
    for pipeline in config.pipeline:
        hears = pipeline.source in microphones
        where = f"[[pipeline]] {pipeline.name}"
        try:
            manifest = catalogue.find(pipeline.model).manifest
        except EngineError as error:
            yield f"{where}: {error}"
        else:
            wrong = fit.misfit(pipeline, hears, manifest) or fit.unknown_labels(pipeline, manifest)
            if wrong:
                yield f"{where}: {wrong}"
        for idle in fit.idle_keys(pipeline, hears):
            yield f"{where}: {idle}"


def _unused(config: Config) -> Iterator[str]:
    used = {pipeline.source for pipeline in config.pipeline}
    if not config.pipeline:
        yield "no [[pipeline]]: nothing will be detected; `appliance config example` shows one"
    elif not any(pipeline.enabled for pipeline in config.pipeline):
        yield "no [[pipeline]] is enabled: nothing is detected until a command enables one"
    for source in config.sources:
        if config.pipeline and source.enabled and source.name not in used:
            yield f"{source.name}: no [[pipeline]] uses this source; it is opened all the same"
    if config.mqtt is None:
        yield "no [mqtt]: results are counted, not published"


def _secrets(config: Config) -> Iterator[str]:
    """Files that we cannot read, who may be somebody else than the service; its credentials only the service has."""
    for camera in config.camera:
        if camera.password_file is not None and not known_to_the_service_alone(camera.password_file):
            try:
                secret(camera.password_file)
            except ConfigError as error:
                yield f"[[camera]] {camera.name}: password_file: {error}"
    mqtt = config.mqtt
    if mqtt is None or any(map(known_to_the_service_alone, filter(None, (mqtt.password_file, mqtt.key_file)))):
        return
    settings = link_settings(mqtt, client_id="")
    try:
        settings.password()
        if settings.address.tls:
            settings.tls_context()
    except ConfigError as error:
        yield f"[mqtt]: {error}"
