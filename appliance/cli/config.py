"""`appliance config`: check a file, print the schema, print an example."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path

import click

from appliance.cli.errors import BadInput


@click.group()
def config() -> None:
    """Check a configuration, or write one to start from."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("/etc/appliance/appliance.toml"))
def check(file: Path) -> None:
    """Say whether FILE can be used; every fault in a sentence of its own. Opens no device."""
    from appliance.assembly import check as check_sources
    from appliance.assembly import state_folder
    from appliance.catalogue import Catalogue
    from appliance.config import load
    from appliance.config_errors import ConfigError
    from engines.engine import EngineError

    try:
        loaded = load(file)
        check_sources(loaded)
    except ConfigError as error:
        raise BadInput(str(error)) from error
    catalogue = Catalogue.default(state_folder(loaded, dict(os.environ)))
    for pipeline in loaded.pipeline:
        try:
            catalogue.find(pipeline.model)
        except EngineError as error:
            click.echo(f"warning: [[pipeline]] {pipeline.name}: {error}", err=True)
    for camera in loaded.camera:
        if "@" in camera.uri.partition("//")[2]:
            click.echo(
                f"warning: [[camera]] {camera.name}: credentials in the address; use username and password_file",
                err=True,
            )
    click.echo(
        f"{file}: fine: {len(loaded.camera)} cameras, {len(loaded.microphone)} microphones, "
        f"{len(loaded.pipeline)} pipelines"
    )


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from appliance.config import Config

    click.echo(json.dumps(Config.model_json_schema(), indent=2))


@config.command()
def example() -> None:
    """Print an example with every key."""
    click.echo(files("appliance").joinpath("example.toml").read_text(encoding="utf-8"), nl=False)
