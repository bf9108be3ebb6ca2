"""From the tables of a configuration to the connections, and to what brings models and configurations here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from appliance.catalogue import Catalogue
from appliance.config import Config, Mqtt
from appliance.connections import Connections
from appliance.gpu_options import gpu_options
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics, home_assistant_config, home_assistant_status
from appliance.outbox.file import OUTBOX
from appliance.uplink.uplink import Uplink, UplinkSettings

if TYPE_CHECKING:
    from appliance.health import Health
    from appliance.metrics.serving import MetricsServer
    from appliance.oip.on_device import OnDevice
    from appliance.page.serving import LivePage
    from appliance.pipeline.worker import Worker
    from appliance.reconfigure.effective import Effective
    from appliance.reconfigure.live import LiveConfiguration
    from appliance.sync.live import Differed, LiveModels
    from appliance.traces.device import DeviceTraces
    from engines.bundle import Bundle
    from engines.model import Model

logger = logging.getLogger(__name__)


def link_settings(mqtt: Mqtt, client_id: str) -> LinkSettings:
    """How to reach this broker; an empty id lets it choose one."""
    return LinkSettings(
        url=mqtt.broker,
        client_id=client_id,
        username=mqtt.username,
        password_file=mqtt.password_file,
        ca_file=mqtt.ca_file,
        cert_file=mqtt.cert_file,
        key_file=mqtt.key_file,
    )


def make_connections(config: Config, catalogue: Catalogue, state_dir: Path) -> Connections:
    """All that the configuration asks for. Raises as those do that make each."""
    made = Connections(
        uplink=make_uplink(config, state_dir),
        oip=make_oip(config, catalogue),
        page=make_page(config),
        metrics=make_metrics(config),
        traces=make_traces(config),
    )
    if made.uplink is not None and made.traces is not None:
        made.uplink.tell_sent(made.traces.sent)
    return made


def make_uplink(config: Config, state_dir: Path) -> Uplink | None:
    """The uplink, not yet running; None when nothing is to be published.

    Raises ConfigError when the broker's address or a certificate cannot be used, OutboxTaken when another appliance
    uses this state folder.
    """
    mqtt = config.mqtt
    if mqtt is None:
        return None
    topics = Topics(mqtt.base, config.device.name)
    uplink = Uplink(
        UplinkSettings(
            link=link_settings(mqtt, client_id=f"{mqtt.base}-{config.device.name}"),
            topics=topics,
            outbox_path=state_dir / OUTBOX,
            quota_bytes=config.outbox.max_mb * 1_000_000,
            acknowledge=config.outbox.acknowledge,
            drain_per_s=config.outbox.drain_per_s,
            require_subscriber=config.outbox.require_subscriber,
            subscriptions=(
                topics.every_set,
                topics.every_request,
                *topics.every_retained,
                *_of_home_assistant(config),
                *((topics.models_desired,) if config.models else ()),
                *((topics.config_desired,) if config.reconfigure else ()),
            ),
        )
    )
    uplink.claim()
    return uplink


def _of_home_assistant(config: Config) -> tuple[str, ...]:
    """Its birth, and what an earlier run of ours has told it."""
    settings = config.home_assistant
    if settings is None:
        return ()
    told = home_assistant_config(settings.prefix, config.device.name, "+")
    return home_assistant_status(settings.prefix), told


def make_oip(config: Config, catalogue: Catalogue) -> OnDevice | None:
    """The models of this device for other programs, listening; None when they are not to be offered.

    Raises ConfigError when an address, a certificate or the token cannot be used.
    """
    if config.oip is None:
        return None
    from appliance.oip.on_device import OnDevice

    def open_model(bundle: Bundle) -> Model:
        from engines.model import Model

        options = gpu_options(config.gpu, config.device.max_batch, whole=True)
        return Model(bundle, threads=config.device.threads, gpu=options)

    made = OnDevice(config.oip, catalogue, config.device.name, open_model, config.device.max_batch)
    made.listen()
    return made


def recover_models(catalogue: Catalogue) -> None:
    """What an earlier run left half done with models from a registry; the start never fails for it."""
    from appliance.sync.activation import Activation
    from appliance.sync.ledger import Ledger, LedgerError
    from appliance.sync.slots import Slots
    from engines.engine import EngineError

    slots = Slots(catalogue)
    try:
        if slots.ledger.exists():
            with Ledger(slots.ledger) as ledger:
                Activation(ledger, slots).recover()
    except (LedgerError, EngineError, OSError) as error:
        logger.error("models: %s", error)


def make_models(
    config: Config, catalogue: Catalogue, workers: Callable[[], Mapping[str, Worker]], differed: Differed
) -> LiveModels | None:
    """What follows the registry of models; None where none is configured. `differed`: as `LiveModels` wants it. Raises
    ConfigError."""
    if config.models is None:
        return None
    from appliance.sync.wiring import make_live

    return make_live(config, config.models, catalogue, workers, differed)


def make_configuration(
    at_start: Effective, path: Path, health: Callable[[], Health | None], apply: Callable[[], None]
) -> LiveConfiguration | None:
    """What follows the configuration that its owner signs; None where none may come from afar. Raises ConfigError."""
    if at_start.config.reconfigure is None:
        return None
    from appliance.reconfigure.wiring import make_live

    return make_live(at_start, path, health, apply)


def make_page(config: Config) -> LivePage | None:
    """The live page, listening; None where none is configured. Raises ConfigError as `make_oip` does."""
    if config.page is None:
        return None
    from appliance.page.serving import LivePage

    topics = Topics(config.mqtt.base if config.mqtt else "appliance", config.device.name)
    made = LivePage(config.page, topics)
    logger.info("live page: %s", made.listen())
    return made


def make_traces(config: Config) -> DeviceTraces | None:
    """Where traces are made; None where they are not. Raises ConfigError: without their packages, or a secret."""
    if config.traces is None:
        return None
    from appliance.traces.collector import Collector
    from appliance.traces.device import DeviceTraces

    device = config.device.name
    return DeviceTraces(Collector(config.traces, "appliance", device), device)


def make_metrics(config: Config) -> MetricsServer | None:
    """The numbers for Prometheus, listening; None where they are not offered. Raises ConfigError as `make_oip` does."""
    if config.metrics is None:
        return None
    from appliance.metrics.serving import MetricsServer

    made = MetricsServer(config.metrics)
    logger.info("metrics: %s", made.listen())
    return made
