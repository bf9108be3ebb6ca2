"""`appliance registry serve`: what is published, over HTTP and MQTT, signed again before it ends."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import click

from appliance.cli.errors import BadInput
from appliance.cli.numbers import Number


def _address(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{value!r}: expected ADDRESS:PORT, such as 127.0.0.1:8090", ctx, param)
    return host.strip("[]"), int(port)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--http", "listen", metavar="ADDRESS:PORT", callback=_address, help="Serve over HTTP there.")
@click.option("--certificate", type=click.Path(path_type=Path), help="For HTTPS: certificate (PEM).")
@click.option("--key", type=click.Path(path_type=Path), help="For HTTPS: key of the certificate (PEM).")
@click.option("--broker", metavar="URL", help="Serve over MQTT through this broker, such as mqtts://host:8883.")
@click.option("--base", default="appliance", show_default=True, help="First level of the devices' topics.")
@click.option("--name", default="registry", show_default=True, help="MQTT client id, and user with a password.")
@click.option("--password-file", type=click.Path(path_type=Path), help="Password on the broker.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="Authority of the broker (PEM).")
@click.option("--cert-file", type=click.Path(path_type=Path), help="Certificate on the broker (PEM).")
@click.option("--key-file", type=click.Path(path_type=Path), help="Key of that certificate (PEM).")
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    help="Sign snapshot and timestamp again before they end, with the keys in FOLDER and this passphrase.",
)
@click.option("--for", "for_s", type=Number(min=0), metavar="SECONDS", help="Stop by itself after this long.")
def serve(
    folder: Path,
    listen: tuple[str, int] | None,
    certificate: Path | None,
    key: Path | None,
    broker: str | None,
    base: str,
    name: str,
    password_file: Path | None,
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
    passphrase_file: Path | None,
    for_s: float | None,
) -> None:
    """Serve FOLDER to devices until told to stop (SIGTERM, Ctrl-C). Only metadata/ and targets/ are given away.

    What is served is signed: whoever serves it need not be trusted, so any server of plain files does as well.
    """
    from appliance.cli.registry_signing import ENVIRONMENT, read_passphrase, told
    from appliance.log import start_logging
    from appliance.mqtt.settings import LinkSettings
    from appliance.registry.repository import Repository
    from appliance.registry.serving import Serving

    if listen is None and broker is None:
        raise BadInput("how? Give --http ADDRESS:PORT, --broker URL, or both")
    link = None
    if broker is not None:
        username = name if password_file else None
        link = LinkSettings(broker, name, username, password_file, ca_file, cert_file, key_file)
    start_logging("info")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with told():
        Repository(folder)
        signs = passphrase_file is not None or ENVIRONMENT in os.environ
        passphrase = read_passphrase(passphrase_file) if signs else None
        serving = Serving(folder, listen, (certificate, key), link, base, passphrase)
        click.echo(f"{folder}: served {serving.where}")
        serving.run(stopping, for_s)
