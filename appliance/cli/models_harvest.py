"""`appliance models harvest`: samples that are kept for a model to learn from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.run import DEFAULT_CONFIG

if TYPE_CHECKING:
    from appliance.config import Config
    from appliance.harvest.sample import Harvested


@click.command()
@click.argument("pipeline", required=False)
@click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file, for the pipelines and the state folder.",
)
@click.option("--list", "listed", is_flag=True, help="A line for every sample, the oldest first.")
@click.option("--json", "as_json", is_flag=True, help="A JSON document for every sample, a line each.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Copy them to FOLDER/MODEL/DEVICE, which `distill --frames FOLDER/MODEL` takes.",
)
@click.option("--delete", is_flag=True, help="Delete here what has been copied.")
def harvest(pipeline: str | None, path: Path, listed: bool, as_json: bool, out: Path | None, delete: bool) -> None:
    """Show the samples that are kept on this device for a model to learn from; of PIPELINE only.

    Which are kept, and whether they are sent to a model service, [pipeline.harvest] says. With --out they are copied,
    each once however often the command is given.
    """
    if delete and out is None:
        raise BadInput("--delete: deletes what was copied: give --out FOLDER")
    config = _config(path)
    folders = _folders(config, pipeline)
    try:
        if out is not None:
            _copy(folders, out, delete)
        elif as_json or listed:
            for name in folders:
                for about, _ in _samples(folders[name]):
                    click.echo(_as_json(about) if as_json else _in_words(about))
        else:
            for name, folder in folders.items():
                click.echo(_in_short(name, folder))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}") from error


def _copy(folders: dict[str, Path], out: Path, delete: bool) -> None:
    from appliance.harvest.barn import Barn
    from appliance.harvest.sample import to_json

    barn = Barn(out)
    barn.prepare()
    copied = there = 0
    for folder in folders.values():
        for about, data in _samples(folder):
            receipt = barn.put(about.device, to_json(about), data)
            if receipt.status != "stored":
                raise Failed(f"{folder}/{about.name}: {receipt.words}; copied before it: {_count(copied)}")
            copied += receipt.new
            there += not receipt.new
            if delete:
                for ending in ("json", about.kind):
                    (folder / f"{about.name}.{ending}").unlink(missing_ok=True)
    click.echo(f"{out}: {_count(copied)} copied" + (f", {there} had been before" if there else ""))


def _samples(folder: Path) -> Iterator[tuple[Harvested, bytes]]:
    """Those that are there; a running appliance may delete some meanwhile."""
    from appliance.harvest.store import kept, read

    for name in kept(folder):
        found = read(folder, name)
        if found is not None:
            yield found


def _in_short(name: str, folder: Path) -> str:
    from appliance.harvest.store import kept

    names = list(kept(folder))
    if not names:
        return f"{name}: no sample is kept"
    size = sum(each.stat().st_size for each in folder.glob("[0-9]*"))
    return f"{name}: {_count(len(names))}, {size / 1e6:.1f} MB, in {folder}"


def _count(samples: int) -> str:
    return f"{samples} sample{'s' * (samples != 1)}"


def _in_words(about: Harvested) -> str:
    model = about.said.model
    which = f"{model.name}@{model.version}"
    return "  ".join((about.pipeline, about.captured_at, about.name, which, f"{about.reason}: {about.why}"))


def _as_json(about: Harvested) -> str:
    from appliance.harvest.sample import to_json

    return json.dumps(json.loads(to_json(about)))


def _folders(config: Config, pipeline: str | None) -> dict[str, Path]:
    """By pipeline; those that keep samples."""
    from appliance.assembly import state_folder
    from appliance.harvest.store import FOLDER

    names = [each.name for each in config.pipeline if each.harvest is not None]
    if pipeline is not None and pipeline not in names:
        raise BadInput(
            f"{pipeline}: no pipeline of this name keeps samples; those that do: {', '.join(names) or 'none'}"
        )
    if not names:
        raise BadInput("no pipeline keeps samples: add [pipeline.harvest] (docs/harvest.md)")
    state = state_folder(config, dict(os.environ))
    return {name: state / FOLDER / name for name in ([pipeline] if pipeline else names)}


def _config(path: Path) -> Config:
    from appliance.assembly import read
    from appliance.config_errors import ConfigError

    try:
        return read(path)
    except ConfigError as error:
        raise BadInput(str(error)) from error
