"""`appliance registry rollout`: a version for more and more devices, for as long as it holds."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.numbers import Number

if TYPE_CHECKING:
    from appliance.sync.published import Reference

LISTEN_S = 3.0
CONNECT_S = 15.0


def _reference(ctx: click.Context, param: click.Parameter, value: str) -> Reference:
    from appliance.sync.published import Reference

    try:
        return Reference.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


def _shares(ctx: click.Context, param: click.Parameter, value: str) -> tuple[float, ...]:
    try:
        shares = tuple(float(part) / 100 for part in value.split(","))
    except ValueError:
        shares = ()
    if not shares or list(shares) != sorted(shares) or not all(0 < share <= 1 for share in shares):
        raise click.BadParameter(f"{value!r}: expected rising percentages, such as 5,25,100", ctx, param)
    return shares


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.argument("model", callback=_reference)
@click.option("--broker", metavar="URL", required=True, help="Broker of the devices, such as mqtts://host:8883.")
@click.option("--base", default="appliance", show_default=True, help="First level of the devices' topics.")
@click.option("--device", "devices", multiple=True, metavar="NAME", help="One of a group; default: all that report.")
@click.option("--shares", default="5,25,100", show_default=True, callback=_shares, help="Percent of them, per stage.")
@click.option("--success", type=Number(0, 1), default=0.9, show_default=True, help="Share that must keep it to go on.")
@click.option("--error", type=Number(0, 1), default=0.1, show_default=True, help="More than this share stops it all.")
@click.option("--patience", type=Number(min=1), default=3600.0, show_default=True, help="Seconds for a stage.")
@click.option("--name", default="rollout", show_default=True, help="MQTT client id, and user with a password.")
@click.option("--password-file", type=click.Path(path_type=Path), help="Password on the broker.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="Authority of the broker (PEM).")
@click.option("--cert-file", type=click.Path(path_type=Path), help="Certificate on the broker (PEM).")
@click.option("--key-file", type=click.Path(path_type=Path), help="Key of that certificate (PEM).")
def rollout(
    folder: Path,
    model: Reference,
    broker: str,
    base: str,
    devices: tuple[str, ...],
    shares: tuple[float, ...],
    success: float,
    error: float,
    patience: float,
    name: str,
    password_file: Path | None,
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
) -> None:
    """Let devices run MODEL@VERSION, a share after the other, and stop when too many have returned it.

    Needs the rights of an operator on the broker. Devices that have kept it keep it, also when it stops; those that
    returned it did so by themselves.
    """
    from appliance.cli.registry_signing import told
    from appliance.mqtt.settings import LinkSettings
    from appliance.registry.fleet import Fleet
    from appliance.registry.publish import listed
    from appliance.registry.repository import Repository
    from appliance.registry.rollout import Course, Plan, Rollout

    username = name if password_file else None
    with told():
        if model not in {each.reference for each in listed(Repository(folder))}:
            raise BadInput(f"{model}: not published in {folder}; `appliance registry publish` does it")
        fleet = Fleet(LinkSettings(broker, name, username, password_file, ca_file, cert_file, key_file), base)
        try:
            if not fleet.listen(lambda: bool(fleet.reported) or "connected to" in fleet.words, CONNECT_S):
                raise Failed(fleet.words)
            fleet.listen(lambda: bool(devices) and set(devices) <= fleet.reported.keys(), LISTEN_S)
            everybody = devices or tuple(fleet.reported)
            if not everybody:
                raise BadInput("no device with [models] has reported; name them with --device, or start them")
            plan = Plan(model, shares, success, error, patience)
            course = Rollout(everybody, plan, time.monotonic())
            fleet.carry_out(course, click.echo, threading.Event())
        finally:
            fleet.close()
    if course.course is Course.STOPPED:
        raise Failed(f"{model}: stopped after {len(course.told)} of {len(everybody)} devices: {course.reason}")
    click.echo(f"{model}: {len(course.good)} of {len(everybody)} devices have kept it")
