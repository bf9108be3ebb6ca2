"""`appliance registry publish-config|revoke-config|configure`: sign a configuration for devices, take it back, and
tell them to use it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.errors import Failed
from appliance.cli.numbers import Number
from appliance.cli.registry_signing import keyring_of, signing, told

if TYPE_CHECKING:
    from appliance.registry.pairs import Pairs
    from appliance.sync.published import Reference

CONNECT_S = 15.0
FILE_ALONE = "none"


def _reference(ctx: click.Context, param: click.Parameter, value: str) -> Reference | None:
    """None: the file on the device alone, where that may be said."""
    from appliance.sync.published import Reference

    if value == FILE_ALONE and param.name == "wanted":
        return None
    try:
        return Reference.parse(value)
    except ValueError as error:
        raise click.BadParameter(f"{value[:80]!r}: name it and its version, such as docks@3", ctx, param) from error


@click.command("publish-config")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("reference", metavar="NAME@VERSION", callback=_reference)
@click.option("--device", "devices", multiple=True, metavar="NAME", help="One that may use it; default: all.")
@click.option(
    "--over", type=click.Path(dir_okay=False, path_type=Path), help="A device's own file: judge both together."
)
@click.option("--again", is_flag=True, help="A version that is published already becomes the newest once more.")
@signing
def publish_config(
    folder: Path,
    file: Path,
    reference: Reference,
    devices: tuple[str, ...],
    over: Path | None,
    again: bool,
    folders: tuple[Path, ...],
    passphrase_file: Path | None,
) -> None:
    """Sign FILE as the configuration NAME@VERSION, and put it into FOLDER. Everybody who reaches FOLDER can read it.

    Its tables take the place of those in the files of the devices; what it leaves out stays as it is there.
    """
    from appliance.registry.configurations import publish_configuration
    from appliance.registry.repository import Repository

    with told(), Repository(folder).changing():
        keyring = keyring_of(folder, folders, passphrase_file)
        made = publish_configuration(
            Repository(folder), keyring, file, reference, devices or None, again=again, over=over
        )
    whom = "all devices" if made.devices is None else ", ".join(made.devices)
    click.echo(f"{made.reference}: {made.bytes} bytes, signed for {whom} ({made.serial})")


@click.command("revoke-config")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("reference", metavar="NAME@VERSION", callback=_reference)
@signing
def revoke_config(folder: Path, reference: Reference, folders: tuple[Path, ...], passphrase_file: Path | None) -> None:
    """Take the configuration NAME@VERSION back: no device takes it any more, and those that use it go back."""
    from appliance.registry.configurations import revoke_configuration
    from appliance.registry.repository import Repository

    with told(), Repository(folder).changing():
        revoke_configuration(Repository(folder), keyring_of(folder, folders, passphrase_file), reference)
    click.echo(f"{reference}: revoked; devices that use it go back with their next look")


@click.command()
@click.argument("wanted", metavar="NAME@VERSION", callback=_reference)
@click.option("--broker", metavar="URL", required=True, help="Broker of the devices, such as mqtts://host:8883.")
@click.option("--base", default="appliance", show_default=True, help="First level of the devices' topics.")
@click.option("--device", "devices", multiple=True, required=True, metavar="NAME", help="Whom to tell; repeatable.")
@click.option("--wait", "wait_s", type=Number(min=0), default=600.0, show_default=True, help="Seconds; 0: only tell.")
@click.option("--name", default="configure", show_default=True, help="MQTT client id, and user with a password.")
@click.option("--password-file", type=click.Path(path_type=Path), help="Password on the broker.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="Authority of the broker (PEM).")
@click.option("--cert-file", type=click.Path(path_type=Path), help="Certificate on the broker (PEM).")
@click.option("--key-file", type=click.Path(path_type=Path), help="Key of that certificate (PEM).")
def configure(
    wanted: Reference | None,
    broker: str,
    base: str,
    devices: tuple[str, ...],
    wait_s: float,
    name: str,
    password_file: Path | None,
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
) -> None:
    """Let devices use the configuration NAME@VERSION, or `none`: their own file alone. Says what became of it.

    Needs the rights of an operator on the broker. What a device returned before is tried once more.
    """
    from appliance.mqtt.settings import LinkSettings
    from appliance.registry.pairs import Pairs

    config = None if wanted is None else str(wanted)
    username = name if password_file else None
    link = LinkSettings(broker, name, username, password_file, ca_file, cert_file, key_file)
    with told():
        pairs = Pairs(link, base, lambda at: at.config_desired, lambda at: at.config_reported)
        try:
            if not pairs.listen(lambda: pairs.connected, CONNECT_S):
                raise Failed(pairs.words)
            pairs.listen(lambda: set(devices) <= pairs.reported.keys(), 3.0)
            numbers = {device: pairs.next_number(device) for device in devices}
            for device, n in numbers.items():
                pairs.wish(device, {"n": n, "config": config})
            pairs.listen(lambda: not _open(pairs, numbers), wait_s)
            pairs.listen(lambda: False, 0.2)  # the broker has what was said last
        finally:
            pairs.close()
    if wait_s:
        _tell(pairs, numbers, str(wanted or "the file alone"))


def _open(pairs: Pairs, numbers: dict[str, int]) -> list[str]:
    """Devices that have not come to an end with what they were told."""
    return [device for device in numbers if _state(pairs.reported.get(device, {}), numbers[device]) is None]


def _state(report: dict[str, Any], n: int) -> str | None:
    """Kept or returned; None while it goes on."""
    state = report.get("state")
    return str(state) if report.get("n") == n and state in ("kept", "returned") else None


def _tell(pairs: Pairs, numbers: dict[str, int], words: str) -> None:
    """Raises Failed when a device does not use it."""
    bad = []
    for device, n in numbers.items():
        report = pairs.reported.get(device, {})
        state = _state(report, n)
        if state == "kept":
            click.echo(f"{device}: {words} is kept")
            continue
        reason = str(report.get("reason", ""))[:1000] or "the device has not answered"
        bad.append(f"{device}: {words} was returned: {reason}" if state else f"{device}: not decided yet: {reason}")
    if bad:
        raise Failed("\n".join(bad))
