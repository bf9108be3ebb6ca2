"""`appliance run`: the daemon in the foreground, as systemd starts it."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.numbers import Number

if TYPE_CHECKING:
    from appliance.config import Config
    from appliance.daemon import StartAgain
    from appliance.reconfigure.effective import Effective

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
    from appliance.config_errors import ConfigError
    from appliance.log import start_logging
    from appliance.reconfigure.effective import begin

    try:
        found = begin(path)
        start_logging(found.config.device.log, found.config.device.log_format)
        for line in found.complaint.splitlines():
            logger.error("%s", line)
        execute(found.config, path, for_s, found)
    except ConfigError as error:
        raise BadInput(str(error)) from error


def execute(config: Config, path: Path | None, for_s: float | None, found: Effective | None = None) -> None:
    """Put the daemon together and run it; raises ConfigError, BadInput or Failed. `found`: where the configuration
    comes from, if it may come from afar."""
    from appliance.assembly import state_folder
    from appliance.catalogue import Catalogue
    from appliance.daemon import Daemon, StartAgain
    from appliance.outbox.file import NO_ROOM, OutboxError
    from appliance.threads import Broken
    from appliance.wiring import make_connections, recover_models

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
        daemon = Daemon(config, path, catalogue, make_connections(config, catalogue, folder), found)
        daemon.run(for_s)
    except StartAgain as again:
        if not daemon.told_to_stop:
            _start_again(again)
    except (Broken, OutboxError) as error:
        raise Failed(str(error)) from error


def _start_again(again: StartAgain) -> None:
    """The same command in the place of this process: systemd, or whoever has started us, sees it go on."""
    logger.info("starting again: %s", again)
    os.environ.update(again.environment)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for handle in Path("/proc/self/fd").iterdir():
        if int(handle.name) > 2:
            with contextlib.suppress(OSError):  # the one of this listing is closed already
                os.set_inheritable(int(handle.name), False)  # a library's: a camera that is still held is not opened
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606  # our own command line
