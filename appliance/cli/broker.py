"""`appliance broker`: a mosquitto configuration with TLS, rights and credentials for devices and services."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.errors import BadInput, Failed

if TYPE_CHECKING:
    from appliance.broker_folder.folder import BrokerFolder, Line

SOON_DAYS = 30
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))


def _names(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Names that can be a level of a topic, a user and a file; each once."""
    for name in value:
        if not NAME.fullmatch(name):
            raise click.BadParameter(f"{name!r}: expected a name of letters, digits, '.', '_' and '-'", ctx, param)
    return tuple(dict.fromkeys(value))


def _hosts(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Names or addresses, as they stand in a certificate."""
    for host in value:
        if not re.fullmatch(r"[A-Za-z0-9*][A-Za-z0-9.-]{0,252}|[0-9A-Fa-f:]{2,45}", host):
            raise click.BadParameter(
                f"{host!r}: expected the name of a host or its address, without a port", ctx, param
            )
    return value


def _absolute(ctx: click.Context, param: click.Parameter, value: str | None) -> PurePosixPath | None:
    if value is None:
        return None
    if not value.startswith("/") or re.search(r"\s", value):
        raise click.BadParameter(f"{value!r}: expected a path from / without spaces", ctx, param)
    return PurePosixPath(value)


NAMES = click.argument("names", metavar="NAME...", nargs=-1, required=True, callback=_names)


@contextmanager
def _told() -> Iterator[None]:
    """Trouble as one sentence and an exit code."""
    from appliance.broker_folder.errors import FolderError, OpensslError

    try:
        yield
    except FolderError as error:
        raise BadInput(str(error)) from error
    except (OpensslError, OSError) as error:
        raise Failed(str(error)) from error


@click.group()
def broker() -> None:
    """Set up a broker with TLS, and give devices and services their names on it.

    A folder holds it all: broker/ goes to the broker, clients/NAME/ to each client, authority/ stays with you. Needs
    the openssl program; mosquitto itself may run elsewhere.
    """


@broker.command()
@FOLDER
@click.option(
    "--host",
    "hosts",
    multiple=True,
    required=True,
    callback=_hosts,
    help="Name or address of the broker as clients write it; again for each further one.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8883, show_default=True)
@click.option(
    "--listen",
    metavar="ADDRESS",
    default="",
    callback=lambda c, p, v: (_hosts(c, p, (v,)) and v) if v else "",
    help="Only on this address of the machine; default: on all.",
)
@click.option(
    "--base",
    default="appliance",
    show_default=True,
    help="First level of the devices' topics.",
    callback=lambda c, p, v: _names(c, p, (v,))[0],
)
@click.option(
    "--identity",
    type=click.Choice(["certificate", "password"]),
    default="certificate",
    show_default=True,
    help="How clients prove their names.",
)
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=365,
    show_default=True,
    help="Lifetime of the certificates of the broker and its clients.",
)
@click.option(
    "--authority-days",
    type=click.IntRange(1, 36500),
    default=3650,
    show_default=True,
    help="Lifetime of the authority that signs them.",
)
@click.option(
    "--owner",
    metavar="USER[:GROUP]",
    help="User that mosquitto runs as; default: mosquitto where root sets it up and there is one, else you.",
)
@click.option(
    "--at",
    metavar="PATH",
    callback=_absolute,
    help="Where the broker sees the folder broker/, such as /mosquitto/config in a container.",
)
@click.option(
    "--data", metavar="PATH", callback=_absolute, help="Where the broker keeps its sessions; default: FOLDER/data."
)
@click.option(
    "--largest-kb", type=click.IntRange(64, 262_143), default=4160, show_default=True, help="Largest message."
)
@click.option(
    "--queued-messages",
    type=click.IntRange(1, 10_000_000),
    default=60_000,
    show_default=True,
    help="Most messages that wait for one absent client.",
)
@click.option(
    "--queued-mb",
    type=click.IntRange(1, 100_000),
    default=128,
    show_default=True,
    help="Most that waits for one absent client, in MB.",
)
@click.option(
    "--memory-mb",
    type=click.IntRange(16, 1_000_000),
    default=1024,
    show_default=True,
    help="Most memory that the broker takes; whoever would need more is thrown out.",
)
def setup(folder: Path, **options: Any) -> None:
    """Write a broker's configuration, rights and authority into FOLDER, which must be new or empty.

    Example: appliance broker setup broker --host broker.example --host 192.168.7.2
    """
    from appliance.broker_folder.folder import BrokerFolder

    with _told():
        made = BrokerFolder.create(folder, _wanted(folder, options))
    click.echo(
        f"{folder}: set up; start it with  mosquitto -c {options['at'] or (folder / 'broker').resolve()}/mosquitto.conf"
    )
    click.echo(f"next:  appliance broker add-device {folder} NAME...")
    _warn_soon(made)


def _wanted(folder: Path, options: dict[str, Any]) -> Any:
    from appliance.broker_folder.files import default_owner, owner_ids
    from appliance.broker_folder.folder import Wanted
    from appliance.broker_folder.mosquitto import Limits, Listener

    here = PurePosixPath(folder.resolve())
    if re.search(r"\s", str(here)) and options["at"] is None:
        raise BadInput(f"{here}: mosquitto's configuration cannot name a path with spaces: choose another folder")
    owner = options["owner"]
    listener = Listener(
        port=options["port"],
        address=options["listen"],
        identity=options["identity"],
        at=options["at"] or here / "broker",
        data=options["data"] or here / "data",
        user=owner.partition(":")[0] if owner and not owner[0].isdigit() else "",
    )
    limits = Limits(
        largest_packet_kb=options["largest_kb"],
        queued_messages=options["queued_messages"],
        queued_mb=options["queued_mb"],
        memory_mb=options["memory_mb"],
    )
    return Wanted(
        hosts=options["hosts"],
        listener=listener,
        limits=limits,
        base=options["base"],
        days=options["days"],
        authority_days=options["authority_days"],
        owner=owner_ids(owner) if owner else default_owner(),
    )


def _adder(role: str, help_text: str, *decorators: Callable[..., Any]) -> click.Command:
    """One `add-…` command."""

    def add(folder: Path, names: tuple[str, ...], **more: Any) -> None:
        from appliance.broker_folder.folder import BrokerFolder
        from appliance.broker_folder.record import Member
        from appliance.broker_folder.rights import Role

        with _told():
            made = BrokerFolder(folder).add(Member(name=name, role=Role(role), **more) for name in names)
        for place in made:
            click.echo(f"{place}: for {place.name} alone; mqtt.toml in it says where it goes")
        _reload_hint(folder)

    add.__doc__ = help_text
    for decorate in (*decorators, NAMES, FOLDER):
        add = decorate(add)
    return broker.command(f"add-{role}")(add)


MODELS = click.option(
    "--model",
    "models",
    multiple=True,
    callback=_names,
    help="Only questions to this model; again for each further one. Default: every model.",
)
SERVING_HOSTS = click.option(
    "--host",
    "hosts",
    multiple=True,
    callback=_hosts,
    help="Name or address under which it offers the Open Inference Protocol over TLS; again for each further one.",
)
REPLICAS = click.option(
    "--replicas", is_flag=True, help="Many share this name, as in a Deployment: each announces itself under its own."
)

_adder("device", "Give each device NAME what it needs to connect, and the right to speak as itself.")
_adder(
    "service",
    "Give each model service NAME what it needs, and the right to answer devices.",
    MODELS,
    SERVING_HOSTS,
    REPLICAS,
)
_adder("viewer", "Let a dashboard or a person NAME hear what devices and services publish.")
_adder("collector", "Let NAME hear it, and say how far it has stored each stream.")
_adder("operator", "Let NAME hear it, and send commands and requests to devices.")
_adder("registry", "Let NAME send devices the pieces of models that they ask for (`appliance registry serve`).")


@broker.command()
@FOLDER
@click.argument("names", metavar="[NAME]...", nargs=-1, callback=_names)
@click.option("--broker", "the_broker", is_flag=True, help="The broker's own certificate.")
@click.option("--authority", is_flag=True, help="The authority; renew every client and then the broker afterwards.")
def renew(folder: Path, names: tuple[str, ...], the_broker: bool, authority: bool) -> None:
    """Give each client NAME a new certificate or password.

    A certificate's forerunner stays good until it ends: there is time to hand the new one out. A password's does not.
    """
    from appliance.broker_folder.folder import BrokerFolder

    if not names and not the_broker and not authority:
        raise BadInput(
            "nothing to renew: name clients, or --broker or --authority; appliance broker show tells the dates"
        )
    with _told():
        found = BrokerFolder(folder)
        if authority:
            found.renew_authority()
        for place in found.renew(names) if names else []:
            click.echo(f"{place}: new; what was there lies in {folder / 'retired'}")
        if the_broker:
            found.renew_broker()
    _reload_hint(folder)


@broker.command()
@FOLDER
@NAMES
def remove(folder: Path, names: tuple[str, ...]) -> None:
    """Take each NAME's rights away and revoke its certificates."""
    from appliance.broker_folder.folder import BrokerFolder

    with _told():
        BrokerFolder(folder).remove(names)
    click.echo(f"removed {', '.join(names)}")
    _reload_hint(folder)


@broker.command()
@FOLDER
def show(folder: Path) -> None:
    """List who has a place on the broker, and when each certificate ends."""
    from appliance.broker_folder.folder import BrokerFolder

    with _told():
        lines = BrokerFolder(folder).lines()
    width = max(len(line.name) for line in lines)
    for line in lines:
        click.echo(f"{line.name:{width}}  {line.role:10}  {_until(line)}")


def _until(line: Line) -> str:
    if line.expires is None:
        return "password"
    left = line.expires - datetime.now(timezone.utc)
    words = f"until {line.expires:%Y-%m-%d}"
    if left.total_seconds() <= 0:
        return f"{words}: ENDED, renew it"
    return f"{words}: renew it soon" if left.days < SOON_DAYS else words


def _warn_soon(made: BrokerFolder) -> None:
    if made.record.days > made.record.authority_days:
        click.echo(
            "warning: the authority ends before the certificates that it signs: raise --authority-days", err=True
        )


def _reload_hint(folder: Path) -> None:
    click.echo(f"then let the broker read {folder / 'broker'} again: systemctl reload mosquitto, or kill -HUP")
