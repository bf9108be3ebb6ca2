"""`appliance config`: check a file, print the schema, print an example; what came from afar is in config_sync.py."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path

import click

from appliance.cli import config_sync
from appliance.cli.errors import BadInput


@click.group()
def config() -> None:
    """Check a configuration, or write one to start from; see what came from afar, and take it back."""


for each in config_sync.COMMANDS:
    config.add_command(each)


@config.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("/etc/appliance/appliance.toml"))
def check(file: Path) -> None:
    """Say whether FILE can be used; every fault in a sentence of its own. Opens no device."""
    from appliance.advice import advice
    from appliance.assembly import read, state_folder
    from appliance.catalogue import Catalogue
    from appliance.config_errors import ConfigError

    try:
        loaded = read(file)
    except ConfigError as error:
        raise BadInput(str(error)) from error
    warnings = list(advice(loaded, Catalogue.default(state_folder(loaded, dict(os.environ)))))
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    verdict = "fine" if not warnings else "can be used, with 1 warning" if len(warnings) == 1 else ""
    click.echo(
        f"{file}: {verdict or f'can be used, with {len(warnings)} warnings'}: {_count(len(loaded.camera), 'camera')}, "
        f"{_count(len(loaded.microphone), 'microphone')}, {_count(len(loaded.pipeline), 'pipeline')}"
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from appliance.config import Config

    click.echo(json.dumps(Config.model_json_schema(), indent=2))


@config.command()
def example() -> None:
    """Print an example with every key."""
    click.echo(files("appliance").joinpath("example.toml").read_text(encoding="utf-8"), nl=False)
