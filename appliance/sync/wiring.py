"""From `[models]` to what fetches, tries and activates models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.catalogue import Catalogue
from appliance.config import Config
from appliance.config_errors import ConfigError
from appliance.gpu_options import gpu_options
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics
from appliance.sync.budget import Budget
from appliance.sync.building import build_plans
from appliance.sync.carrier import Carrier
from appliance.sync.fetch import Fetcher, Progress
from appliance.sync.ledger import Job, Ledger
from appliance.sync.machine import Machine, Tools
from appliance.sync.settings import Models
from appliance.sync.slots import Slots
from appliance.sync.turn import Turn
from appliance.sync.verdict import Terms

if TYPE_CHECKING:
    from appliance.pipeline.worker import Worker
    from appliance.sync.live import Differed, LiveModels
    from engines.bundle import Bundle
    from engines.model import Model

ROOT_MOST_BYTES = 512_000


def turn_of(catalogue: Catalogue) -> Turn:
    """Of whoever changes the models of this catalogue's library."""
    return Turn(Slots(catalogue).folder)


def daemon_turn(catalogue: Catalogue) -> Turn:
    """Held by a daemon for as long as it works with this catalogue."""
    return Turn(Slots(catalogue).folder, "daemon")


def make_tools(
    config: Config,
    settings: Models,
    stopping: threading.Event,
    *,
    tries: int | None = None,
    tell: Callable[[Job, Progress], None] = lambda _job, _progress: None,
) -> Tools:
    """`tries`: failed reads in a row until fetching is given up; None never does. Raises ConfigError."""
    anchor = read_root(settings.root)
    rate = None if settings.bandwidth_kb_s is None else settings.bandwidth_kb_s * 1000

    def fetcher(carrier: Carrier, folder: Path) -> Fetcher:
        folder.mkdir(parents=True, exist_ok=True)
        most_bytes, budget = settings.max_mb * 1_000_000, Budget(rate, stopping.wait)
        return Fetcher(carrier, folder, budget=budget, wait=stopping.wait, most_bytes=most_bytes, tries=tries)

    def build(bundle: Bundle) -> str:
        return build_plans(bundle, gpu_options(config.gpu, config.device.max_batch), stopping, build=config.gpu.build)

    return Tools(
        anchor=anchor,
        carrier=lambda: make_carrier(config, settings, stopping),
        fetcher=fetcher,
        build=build,
        stopped=stopping.is_set,
        slower=settings.slower,
        tell=tell,
    )


def make_carrier(
    config: Config, settings: Models, stopping: threading.Event, who: str = "models"
) -> AbstractContextManager[Carrier]:
    """To the registry. `who`: of this device asks, for a name of its own on the broker. Raises ConfigError."""
    if settings.registry != "mqtt":
        from appliance.sync.http_carrier import HttpCarrier

        return HttpCarrier(settings.registry, settings.ca_file)
    from appliance.sync.mqtt_carrier import MqttCarrier

    mqtt = config.mqtt
    assert mqtt is not None, "the configuration demands it"
    link = LinkSettings(
        url=mqtt.broker,
        client_id=f"{mqtt.base}-{config.device.name}-{who}",
        username=mqtt.username,
        password_file=mqtt.password_file,
        ca_file=mqtt.ca_file,
        cert_file=mqtt.cert_file,
        key_file=mqtt.key_file,
    )
    return MqttCarrier(link, Topics(mqtt.base, config.device.name), stopping)


def read_root(path: Path) -> bytes:
    """The root that is believed; raises ConfigError."""
    try:
        with path.open("rb") as file:
            content = file.read(ROOT_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}; [models] root is the owner's root.json"
        ) from error
    if len(content) > ROOT_MOST_BYTES or not content.lstrip().startswith(b"{"):
        raise ConfigError(f"{path}: not a root.json; `appliance registry init` says which file it is")
    return content


def terms_of(settings: Models) -> Terms:
    return Terms(
        shadow_s=settings.shadow_s,
        shadow_samples=settings.shadow_samples,
        agreement=settings.agreement,
        slower=settings.slower,
        probation_s=settings.probation_s,
    )


def make_live(
    config: Config,
    settings: Models,
    catalogue: Catalogue,
    workers: Callable[[], Mapping[str, Worker]],
    differed: Differed,
) -> LiveModels:
    """The thread `models`, not yet running. Raises ConfigError."""
    from appliance.sync.live import LiveModels

    read_root(settings.root)

    def open_model(bundle: Bundle) -> Model:
        from engines.model import Model

        options = gpu_options(config.gpu, config.device.max_batch)
        return Model(bundle, threads=config.device.threads, gpu=options)

    return LiveModels(
        open_ledger=lambda: Ledger(Slots(catalogue).ledger),
        machine=lambda ledger, stopping, tell: Machine(
            ledger, Slots(catalogue), make_tools(config, settings, stopping, tell=tell)
        ),
        turn=turn_of(catalogue),
        presence=daemon_turn(catalogue),
        workers=workers,
        open_model=open_model,
        terms=terms_of(settings),
        look_s=settings.look_s,
        differed=differed,
    )
