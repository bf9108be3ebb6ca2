"""`appliance run`: the daemon in the foreground, as systemd starts it."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.numbers import Number

if TYPE_CHECKING:
    from appliance.config import Config

logger = logging.getLogger(__name__)

DEFAULT_CONFIG = Path("/etc/appliance/appliance.toml")


@click.command()
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file; `appliance config example` writes one.",
)
@click.option("--for", "for_s", type=Number(min=0), metavar="SECONDS", help="Stop by itself after this long.")
def run(path: Path, for_s: float | None) -> None:
    """Run the appliance until it is told to stop (SIGTERM, Ctrl-C); SIGHUP reads the configuration again."""
    from appliance.assembly import read
    from appliance.config_errors import ConfigError
    from appliance.log import start_logging

    try:
        config = read(path)
        start_logging(config.device.log, config.device.log_format)
        execute(config, path, for_s)
    except ConfigError as error:
        raise BadInput(str(error)) from error


def execute(config: Config, path: Path | None, for_s: float | None) -> None:
    """Put the daemon together and run it; raises ConfigError, BadInput or Failed."""
    from appliance.assembly import state_folder
    from appliance.catalogue import Catalogue
    from appliance.daemon import Broken, Daemon
    from appliance.outbox.file import NO_ROOM, OutboxError
    from appliance.wiring import make_metrics, make_oip, make_page, make_traces, make_uplink, recover_models

    folder = state_folder(config, dict(os.environ))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sentence = f"{folder}: cannot hold the appliance's state: {error.strerror}; set state_dir under [device]"
        if error.errno not in (*NO_ROOM, errno.EROFS):
            raise BadInput(sentence) from error
        # A disk's trouble may pass: results go out meanwhile, and the uplink goes on trying to open its outbox.
        logger.error("%s", sentence)
    try:
        catalogue = Catalogue.default(folder)
        recover_models(catalogue)
        uplink, oip, page = make_uplink(config, folder), make_oip(config, catalogue), make_page(config)
        daemon = Daemon(config, path, catalogue, uplink, oip, page, make_metrics(config), make_traces(config))
        daemon.run(for_s)
    except (Broken, OutboxError) as error:
        raise Failed(str(error)) from error
