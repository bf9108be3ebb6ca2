"""`appliance registry`: the owner of models signs, publishes and serves them."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli import parameters
from appliance.cli.registry_configure import configure, publish_config, revoke_config
from appliance.cli.registry_rollout import rollout
from appliance.cli.registry_serve import serve
from appliance.cli.registry_signing import keyring_of, signing, told

if TYPE_CHECKING:
    from tuf.api.metadata import Role

    from appliance.registry.repository import Repository
    from appliance.sync.published import Reference

FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))


@click.group()
def registry() -> None:
    """Sign, publish and serve models for devices that believe your keys and nobody else's.

    A folder holds it all: metadata/ and targets/ are served, keys/ signs. Root keys belong on sticks of their own.
    """


registry.add_command(serve)
registry.add_command(rollout)
registry.add_command(publish_config)
registry.add_command(revoke_config)
registry.add_command(configure)


@registry.command()
@FOLDER
@click.option("--root-keys", type=click.IntRange(1, 9), default=3, show_default=True, help="Root keys to make.")
@click.option(
    "--root-threshold", type=click.IntRange(1, 9), default=2, show_default=True, help="Root keys that must sign."
)
@click.option("--root-days", type=click.IntRange(1, 3650), default=365, show_default=True)
@click.option("--targets-days", type=click.IntRange(1, 3650), default=365, show_default=True)
@click.option(
    "--snapshot-days",
    type=click.IntRange(1, 3650),
    default=7,
    show_default=True,
    help="How long devices believe a snapshot; longer where nobody signs for weeks.",
)
@click.option(
    "--timestamp-days",
    type=click.IntRange(1, 3650),
    default=1,
    show_default=True,
    help="How long devices believe that nothing is newer.",
)
@signing
def init(folder: Path, folders: tuple[Path, ...], passphrase_file: Path | None, **terms: int) -> None:
    """Make a registry in FOLDER, with keys sealed by a passphrase."""
    from appliance.registry.repository import Repository, Terms

    with told():
        keyring = keyring_of(folder, folders, passphrase_file, confirm=True)
        made = Repository.create(folder, Terms(**terms), keyring)
    click.echo(f"{folder}: made; {terms['root_threshold']} of {terms['root_keys']} root keys must sign")
    click.echo(f"give devices {made.anchor} as their root ([models] root)")
    click.echo(
        f"take {folder / 'keys'}/root-*.key away to places of their own; they are needed once a year, and to rotate"
    )


@registry.command()
@FOLDER
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def keys(folder: Path, as_json: bool) -> None:
    """Show every role: its keys, which of them are here, how many must sign, and until when its signature holds."""
    from appliance.registry.keyring import sealed_keys
    from appliance.registry.repository import KEYS
    from appliance.registry.rotate import endings

    with told():
        repository = _open(folder)
        here = {key.keyid for key, _ in sealed_keys([folder / KEYS])}
        rows = [_role(name, repository.role(name), ends, here) for name, ends in endings(repository).items()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        ids = ", ".join(f"{key['id'][:8]}{'' if key['here'] else ' (elsewhere)'}" for key in row["keys"])
        ended = " (ended)" if datetime.fromisoformat(row["ends"]) < datetime.now(timezone.utc) else ""
        click.echo(f"{row['role']}: {row['threshold']} of {ids}; until {row['ends'][:16]}{ended}")


def _role(name: str, role: Role, ends: datetime, here: set[str]) -> dict[str, Any]:
    ids = [{"id": keyid, "here": keyid in here} for keyid in role.keyids]
    return {"role": name, "threshold": role.threshold, "keys": ids, "ends": ends.isoformat()}


@registry.command()
@FOLDER
@click.argument("model")
@click.option("--family", callback=parameters.name, metavar="NAME", help="Key that signs it; default: one of its own.")
@click.option("--again", is_flag=True, help="A version that is published already becomes the newest once more.")
@signing
def publish(
    folder: Path, model: str, family: str | None, again: bool, folders: tuple[Path, ...], passphrase_file: Path | None
) -> None:
    """Sign MODEL, an installed one or a bundle folder, and put its files into FOLDER."""
    from appliance.catalogue import Catalogue
    from appliance.registry import publish as publishing

    with told():
        bundle = Catalogue.default().find(model)
        repository = _open(folder)
        before = frozenset().union(
            *(e.chunks for e in publishing.listed(repository) if e.reference.model == bundle.manifest.name)
        )
        with repository.changing():
            keyring = keyring_of(folder, folders, passphrase_file)
            made = publishing.publish(_open(folder), keyring, bundle, family, again=again)
    new = len(made.chunks - before)
    click.echo(
        f"{made.reference}: {made.files} files, {made.bytes / 1e6:.1f} MB, signed by {made.family}; "
        f"{new} of {len(made.chunks)} chunks are in no other version"
    )


@registry.command("list")
@FOLDER
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_models(folder: Path, as_json: bool) -> None:
    """List what is published: the newest of each model first, then configurations."""
    from appliance.registry.configurations import listed_configurations
    from appliance.registry.publish import listed

    with told():
        repository = _open(folder)
        rows, configurations = listed(repository), listed_configurations(repository)
    if as_json:
        documents: list[dict[str, Any]] = [
            {
                "model": row.reference.model,
                "version": row.reference.version,
                "family": row.family,
                "serial": row.serial,
                "files": row.files,
                "bytes": row.bytes,
            }
            for row in rows
        ]
        documents += [
            {
                "configuration": each.reference.model,
                "version": each.reference.version,
                "serial": each.serial,
                "bytes": each.bytes,
                "devices": each.devices,
            }
            for each in configurations
        ]
        click.echo(json.dumps(documents, indent=2))
        return
    for row in rows:
        click.echo(
            f"{row.reference}: {row.files} files, {row.bytes / 1e6:.1f} MB, signed by {row.family} ({row.serial})"
        )
    for each in configurations:
        whom = "all devices" if each.devices is None else ", ".join(each.devices)
        click.echo(f"{each.reference}: configuration, {each.bytes} bytes, for {whom} ({each.serial})")
    if not rows and not configurations:
        click.echo("nothing is published; `appliance registry publish` does it")


def _reference(ctx: click.Context, param: click.Parameter, value: str) -> Reference:
    from appliance.sync.published import Reference

    try:
        return Reference.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


@registry.command()
@FOLDER
@click.argument("model", callback=_reference)
@signing
def revoke(folder: Path, model: Reference, folders: tuple[Path, ...], passphrase_file: Path | None) -> None:
    """Take MODEL@VERSION back: no device fetches it any more, and those that run it return to the version before."""
    from appliance.registry import publish as publishing

    with told(), _open(folder).changing():
        family = publishing.revoke(_open(folder), keyring_of(folder, folders, passphrase_file), model)
    click.echo(f"{model}: revoked by {family}")


def _keyid(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"[0-9a-f]{4,64}", value):
        raise click.BadParameter(f"{value!r}: expected the first digits of a key, as `keys` shows them", ctx, param)
    return value


@registry.command()
@FOLDER
@click.argument("role")
@click.option("--old", metavar="ID", callback=_keyid, help="Beginning of the key that goes.")
@signing
def rotate(folder: Path, role: str, old: str | None, folders: tuple[Path, ...], passphrase_file: Path | None) -> None:
    """Put a new key in the place of one of ROLE: root, targets, snapshot, timestamp or a family."""
    from appliance.registry import rotate as rotating

    with told(), _open(folder).changing():
        made = rotating.rotate(_open(folder), keyring_of(folder, folders, passphrase_file), role, old)
    click.echo(f"{role}: {made} is the new key; devices follow with their next look")


@registry.command()
@FOLDER
@click.option("--within-days", type=click.IntRange(0, 3650), default=1, show_default=True, help="What ends this soon.")
@signing
def renew(folder: Path, within_days: int, folders: tuple[Path, ...], passphrase_file: Path | None) -> None:
    """Sign again what ends soon, as far as its keys are here; `serve` does so by itself."""
    from appliance.registry import rotate as rotating

    with told(), _open(folder).changing():
        keyring = keyring_of(folder, folders, passphrase_file)
        done = rotating.renew(_open(folder), keyring, timedelta(days=within_days))
    click.echo(f"{folder}: {', '.join(done) + ' signed again' if done else 'nothing ends so soon'}")


def _open(folder: Path) -> Repository:
    from appliance.registry.repository import Repository

    return Repository(folder)
