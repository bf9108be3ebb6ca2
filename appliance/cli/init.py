"""`appliance init`: a first configuration from what is attached."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from pathlib import Path

import click

from appliance.cli.errors import BadInput, Failed

ETC = Path("/etc/appliance/appliance.toml")


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path), default=ETC, show_default=True, help="Write here.")
@click.option("--broker", help="Its address, such as mqtt://hub.lan:1883; default: one on this machine.")
@click.option("--name", help="Of this device, in every topic; default: the host name.")
@click.option("--force", is_flag=True, help="Replace a configuration that is there; it is kept beside the new one.")
def init(path: Path, broker: str | None, name: str | None, force: bool) -> None:
    """Look for cameras, microphones and a broker, and write a first configuration.

    Every camera that delivers a picture is read for digits, every microphone that delivers sound is listened to for
    spoken ones: models that come along. Without a camera a synthetic scene stands in. A configuration that somebody
    wrote stays as it is, with --force it stays beside the new one; stop the service before, which holds its cameras
    and microphones.
    """
    from appliance import first_config
    from appliance.config_errors import ConfigError
    from appliance.mqtt.settings import BrokerAddress
    from appliance.reach import Reach, how_to_allow
    from capture.camera import cameras

    try:
        replaces = not first_config.is_ours_to_write(path)
        if replaces and not force:
            raise BadInput(f"{path}: there is a configuration already; --force replaces it")
        address = BrokerAddress.parse(broker or first_config.LOCAL_BROKER)
        click.echo("trying cameras and microphones, each for a moment", err=True)
        found = first_config.look(cameras())
        if replaces and found.blind:
            raise Failed(_blind(path, found.refusals))
        kept = first_config.put(path, first_config.written(found, name or _host_name(), address))
    except ConfigError as error:
        raise BadInput(str(error)) from error
    except OSError as error:
        raise Failed(
            f"{path} cannot be written: {error.strerror}; run this as root, or name a place with --config"
        ) from error
    for source in (*found.cameras, *found.microphones):
        click.echo(f"{source.name}: {source.words}")
    if not found.cameras:
        click.echo("no camera was found: a synthetic scene stands in")
    for refusal in found.refusals:
        click.echo(f"not used: {refusal}")
    if not first_config.answers(address):
        click.echo(f"no broker answers at {address}: apt-get install mosquitto, or name another with --broker")
    if refused := Reach.of_the_unit().refused(address.host):
        click.echo(f"{address}: the unit refuses {refused} to the service: {how_to_allow(refused)}")
    if kept is not None:
        click.echo(f"what was in {path} is kept as {kept}")
    click.echo(f"{path} is written. Next: {_next(path, str(address))}")


def _blind(path: Path, refusals: Iterable[str]) -> str:
    return "\n".join(
        (
            *(f"not used: {refusal}" for refusal in refusals),
            f"{path} stays as it is: there are cameras, and none delivers a picture. The service holds those it uses: "
            "systemctl stop appliance, then run this again. Where none ever does, move that file away first",
        )
    )


def _host_name() -> str:
    """The machine's, as far as it may stand in a topic."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).strip("-._")[:63] or "appliance"


def _next(path: Path, broker: str) -> str:
    from appliance.first_config import LOCAL_BROKER

    if path == ETC:
        elsewhere = "" if broker == LOCAL_BROKER else f" --broker {broker}"
        return f"systemctl enable --now appliance, then appliance watch{elsewhere}"
    return f"appliance run --config {path}"
