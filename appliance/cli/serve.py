"""`appliance serve`: a model service in the foreground."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.numbers import Number


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="The configuration file of the service.")
@click.option("--broker", help="Without a file: the broker, mqtt://HOST:PORT.  [default: mqtt://localhost:1883]")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Without a file: a model to serve; repeatable.")
@click.option("--id", "service", help="Without a file: the name of this service.  [default: this machine's]")
@click.option("--group", help="Without a file: services of one group share the questions.  [default: services]")
@click.option(
    "--harvest",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Without a file: collect the samples that devices send for a model to learn from.",
)
@click.option("--for", "for_s", type=Number(min=0), metavar="SECONDS", help="Stop by itself after this long.")
@click.option("--example", is_flag=True, help="Print a configuration to start from.")
def serve(
    path: Path | None,
    broker: str | None,
    models: tuple[str, ...],
    service: str | None,
    group: str | None,
    harvest: str | None,
    for_s: float | None,
    example: bool,
) -> None:
    """Answer the questions of devices with models, over MQTT, until told to stop (SIGTERM, Ctrl-C).

    Start more of them to answer more: those of one group share the questions. What a service has taken when it is
    told to stop is answered first.
    """
    if example:
        click.echo((files("appliance.service") / "example.toml").read_text(encoding="utf-8"), nl=False)
        return
    quick = {"broker": broker, "models": models, "id": service, "group": group, "harvest": harvest}
    given = {name: value for name, value in quick.items() if value}
    if path is not None and given:
        raise BadInput("--config says it all: leave the other options out, or the file")
    _run(path, given, for_s)


def _run(path: Path | None, given: dict[str, Any], for_s: float | None) -> None:
    from appliance.catalogue import Catalogue
    from appliance.config_errors import ConfigError
    from appliance.log import start_logging
    from appliance.service.backends import backends
    from appliance.service.service import Service
    from appliance.service.settings import load
    from appliance.threads import Broken

    try:
        config = _quick(given) if path is None else load(path)
        start_logging(config.serve.log, config.serve.log_format)
        folder = config.serve.state_dir
        if folder is None and os.environ.get("STATE_DIRECTORY"):
            folder = Path(os.environ["STATE_DIRECTORY"].split(":")[0])
        Service(config, backends(config, Catalogue.default(folder))).run(for_s)
    except ConfigError as error:
        raise BadInput(str(error)) from error
    except Broken as error:
        raise Failed(str(error)) from error


def _quick(given: dict[str, Any]) -> Any:
    """A configuration from options; raises ConfigError in the words of the file."""
    from pydantic import ValidationError

    from appliance.config_errors import ConfigError, explain
    from appliance.service.settings import ServiceConfig

    raw: dict[str, Any] = {"serve": {key: given[key] for key in ("id", "group") if key in given}}
    if "broker" in given:
        raw["mqtt"] = {"broker": given["broker"]}
    if "harvest" in given:
        raw["harvest"] = {"folder": given["harvest"]}
    raw["model"] = [{"name": name.partition("@")[0], "bundle": name} for name in given.get("models", ())]
    try:
        return ServiceConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(error, raw, "appliance serve", ServiceConfig))) from error
