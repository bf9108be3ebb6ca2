"""`appliance config history|rollback`: configurations that came from afar."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import BadInput
from appliance.cli.ledger import ledger_at
from appliance.cli.run import DEFAULT_CONFIG
from appliance.cli.turn import our_turn

if TYPE_CHECKING:
    from appliance.reconfigure.standing import Standing
    from appliance.reconfigure.store import Store

BUSY = "the appliance is at work on its configuration; try again in a minute"
CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file of this device.",
)


@click.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("-n", "most", type=click.IntRange(1, 1000), default=30, show_default=True, help="Lines at most.")
def history(path: Path, as_json: bool, most: int) -> None:
    """Show which configuration is used, what came from afar and what became of it, the newest first."""
    from dataclasses import asdict

    store = _store(path)
    standing = store.standing()
    with ledger_at(store.ledger) as ledger:
        lines = ledger.history(most=most)
    if as_json:
        events = [
            {"at_s": line.at_s, "config": line.version, "event": line.event, "why": line.reason} for line in lines
        ]
        click.echo(json.dumps({"now": asdict(standing), "events": events}, indent=2))
        return
    click.echo(_words(standing))
    if standing.active.digest:
        click.echo(f"its text: {store.path_of(standing.active)}")
    for line in lines:
        at = datetime.fromtimestamp(line.at_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        click.echo(f"{at}  {line.version}  {line.event}{': ' + line.reason if line.reason else ''}")


@click.command()
@CONFIG
@click.option("--reason", default="asked for", show_default=True, help="For the history.")
def rollback(path: Path, reason: str) -> None:
    """Go back to the configuration before: give up a trial, or what was kept last. Needs no network.

    A running appliance follows at once. It stays so until a newer desired document comes.
    """
    from appliance.reconfigure.store import HISTORY, RETURNED

    store = _store(path)
    with our_turn(store.turn, BUSY), ledger_at(store.ledger) as ledger:
        standing = store.standing()
        if standing.trial is None and standing.good == standing.before:
            raise BadInput("nothing came from afar that could be taken back; `appliance config history` shows what did")
        leaves, back = standing.active, standing.go_back(reason)
        ledger.tell(HISTORY, str(leaves), RETURNED, reason)
        store.put(back)
    click.echo(f"{leaves} returned; {back.active} is used")


COMMANDS = (history, rollback)


def _words(standing: Standing) -> str:
    words = f"{standing.active} is used" + (", on trial" if standing.trial is not None else "")
    wanted = standing.wanted or "the file on the device"
    if standing.wanted != standing.active.name:
        words += f"; {wanted} is wanted and " + ("on its way" if standing.state.value == "fetch" else "was returned")
    return f"{words}: {standing.reason}" if standing.reason else words


def _store(path: Path) -> Store:
    from appliance.assembly import read
    from appliance.config_errors import ConfigError
    from appliance.reconfigure.effective import store_of

    try:
        store = store_of(read(path))
    except ConfigError as error:
        raise BadInput(str(error)) from error
    if store is None:
        raise BadInput(f"{path}: has no [reconfigure] table: no configuration comes from afar")
    return store
