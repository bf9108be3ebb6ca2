"""`appliance models pull|activate|rollback|pin|history`: models from a registry."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.errors import BadInput, Failed
from appliance.cli.ledger import ledger_at
from appliance.cli.run import DEFAULT_CONFIG
from appliance.cli.turn import our_turn

if TYPE_CHECKING:
    from appliance.catalogue import Catalogue
    from appliance.config import Config
    from appliance.sync.fetch import Progress
    from appliance.sync.ledger import Job, Ledger
    from appliance.sync.machine import Machine
    from appliance.sync.published import Reference

TRIES = 5
CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration file, for [models], [mqtt] and the state folder.",
)


def _reference(ctx: click.Context, param: click.Parameter, value: str) -> Reference:
    from appliance.sync.published import Reference

    try:
        return Reference.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from error


@click.command()
@click.argument("model", callback=_reference)
@CONFIG
@click.option("--again", is_flag=True, help="Even if this device has returned it before.")
@click.pass_context
def pull(ctx: click.Context, model: Reference, path: Path, again: bool) -> None:
    """Fetch MODEL@VERSION from the registry, verify and try it; the active version stays.

    What has come stays when it is cut short: give the command again.
    """
    with _at_work(ctx, path) as machine:
        if again:
            machine.ledger.forgive(model.model, model.version)
        job = _try(machine, machine.want(model, activate=False, now_s=time.time()))
    click.echo(f"{model}: {_words(job)}")


@click.command()
@click.argument("model", callback=_reference)
@CONFIG
@click.pass_context
def activate(ctx: click.Context, model: Reference, path: Path) -> None:
    """Make MODEL@VERSION the active one, after it was fetched and tried.

    A running appliance lets it run beside the active version first, then exchanges them between two samples, and goes
    back by itself if it does not hold. Without one it is active, on probation, from the next start on.
    """
    from appliance.sync.states import State
    from appliance.sync.wiring import daemon_turn

    with _at_work(ctx, path) as machine:
        job = _try(machine, machine.want(model, activate=True, now_s=time.time()))
        with daemon_turn(_catalogue(ctx, _config(path))).taken() as nobody:
            if nobody and job.state in (State.READY, State.SHADOW, State.ACTIVATE):
                job = machine.activation.activate(job)
                click.echo(f"{model}: active from the next start on, on probation; {job.previous} stays installed")
                return
    if job.state in (State.PROBATION, State.KEPT):
        click.echo(f"{model}: {_words(job)}")
        return
    click.echo(
        f"{model}: the appliance goes on from here; `appliance models history {model.model}` shows how far it is"
    )


@click.command()
@click.argument("model")
@CONFIG
@click.option("--reason", default="asked for", show_default=True, help="For the history.")
@click.option("--deny", is_flag=True, help="Never try this version again.")
@click.pass_context
def rollback(ctx: click.Context, model: str, path: Path, reason: str, deny: bool) -> None:
    """Go back from the newest version of MODEL to the one before, or give up what is on its way. Needs no network."""
    from appliance.sync.activation import Activation
    from appliance.sync.slots import Slots
    from appliance.sync.states import State

    catalogue = _catalogue(ctx, _config_if_there(path))
    with _ledger(catalogue) as ledger, _turn(catalogue):
        slots = Slots(catalogue)
        job = ledger.job(model)
        if job is None or job.state is State.RETURNED:
            raise BadInput(f"{model}: no version of it came from a registry, or it has returned already")
        Activation(ledger, slots).give_back(job, reason, deny=deny)
        click.echo(f"{model}: {job.version} returned; {slots.active_version(model) or 'no version'} is active")


@click.command()
@click.argument("model")
@CONFIG
@click.option("--off", is_flag=True, help="Let other versions come again.")
@click.pass_context
def pin(ctx: click.Context, model: str, path: Path, off: bool) -> None:
    """Keep MODEL at its active version, or at MODEL@VERSION if that is installed, whatever is wanted elsewhere."""
    from appliance.sync.slots import Slots

    name, _, version = model.partition("@")
    catalogue = _catalogue(ctx, _config_if_there(path))
    with _ledger(catalogue) as ledger, _turn(catalogue):
        if off:
            ledger.put_note(f"pin {name}", None)
            click.echo(f"{name}: not pinned")
            return
        slots = Slots(catalogue)
        active = slots.active_version(name)
        if active is None:
            raise BadInput(f"{name}: no such model; `appliance models list` shows what there is")
        if version and version != active:
            slots.point(name, version)
        ledger.put_note(f"pin {name}", version or active)
        ledger.tell(name, version or active, "pinned")
    click.echo(f"{name}: pinned to {version or active}")


@click.command()
@click.argument("model", required=False)
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@click.option("-n", "most", type=click.IntRange(1, 1000), default=30, show_default=True, help="Lines at most.")
@click.pass_context
def history(ctx: click.Context, model: str | None, path: Path, as_json: bool, most: int) -> None:
    """Show what happened to models from a registry, and why; of MODEL only, the newest first."""
    catalogue = _catalogue(ctx, _config_if_there(path))
    with _ledger(catalogue) as ledger:
        jobs = [job for job in ledger.jobs() if model in (None, job.model)]
        lines = ledger.history(model, most)
    if as_json:
        now = {job.model: {"version": job.version, "state": job.state.value, "reason": job.reason} for job in jobs}
        events = [
            {"at_s": line.at_s, "model": line.model, "version": line.version, "event": line.event, "why": line.reason}
            for line in lines
        ]
        click.echo(json.dumps({"now": now, "events": events}, indent=2))
        return
    for job in jobs:
        click.echo(f"{job.model}: {_words(job)}")
    for line in lines:
        at = datetime.fromtimestamp(line.at_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        click.echo(f"{at}  {line.model}@{line.version}  {line.event}{': ' + line.reason if line.reason else ''}")
    if not lines:
        click.echo("nothing has come from a registry; `appliance models pull MODEL@VERSION` fetches")


COMMANDS = (pull, activate, rollback, pin, history)


# -- what they share --------------------------------------------------------------------------------------------


def _words(job: Job) -> str:
    from appliance.sync.states import WORDS

    return f"{job.version} {WORDS[job.state]}{': ' + job.reason if job.reason else ''}"


def _try(machine: Machine, job: Job) -> Job:
    """Every step that needs no daemon; raises Failed when it comes to nothing."""
    from appliance.sync.states import TRIED, WORDS, State

    while job.state in TRIED:
        if job.state is not State.FETCH:
            click.echo(f"{job.model}@{job.version} {WORDS[job.state]}")
        job = machine.advance(job)
    if job.state is State.RETURNED:
        reason = job.reason.removeprefix(f"{job.model}@{job.version}: ")
        raise Failed(f"{job.model}@{job.version}: {reason}")
    return job


def _config(path: Path) -> Config:
    from appliance.assembly import read
    from appliance.config_errors import ConfigError

    try:
        return read(path)
    except ConfigError as error:
        raise BadInput(str(error)) from error


def _config_if_there(path: Path) -> Config | None:
    return None if path == DEFAULT_CONFIG and not path.exists() else _config(path)


def _catalogue(ctx: click.Context, config: Config | None) -> Catalogue:
    """Of the folder that was given, else where the appliance of this configuration looks."""
    from appliance.assembly import state_folder
    from appliance.catalogue import Catalogue

    given = ctx.parent is not None and ctx.parent.params.get("folder") is not None
    if given or config is None:
        return Catalogue.before_shipped(ctx.obj)
    return Catalogue.default(state_folder(config, dict(os.environ)))


@contextmanager
def _ledger(catalogue: Catalogue) -> Iterator[Ledger]:
    from appliance.sync.slots import Slots
    from engines.engine import EngineError

    try:
        with ledger_at(Slots(catalogue).ledger) as ledger:
            yield ledger
    except EngineError as error:
        raise BadInput(str(error)) from error


def _turn(catalogue: Catalogue) -> AbstractContextManager[None]:
    """Raises Failed when somebody else goes on changing models."""
    from appliance.sync.wiring import turn_of

    busy = "the appliance, or another command, is at work on its models; try again in a minute"
    return our_turn(turn_of(catalogue), busy)


@contextmanager
def _at_work(ctx: click.Context, path: Path) -> Iterator[Machine]:
    """With [models] of a configuration, and our turn."""
    from appliance.config_errors import ConfigError
    from appliance.sync.carrier import CarrierError
    from appliance.sync.inspection import Unfit
    from appliance.sync.machine import Machine
    from appliance.sync.slots import Slots
    from appliance.sync.wiring import make_tools

    config = _config(path)
    if config.models is None:
        raise BadInput(f"{path}: has no [models] table; docs/models-sync.md shows what it needs")
    catalogue = _catalogue(ctx, config)
    with _ledger(catalogue) as ledger, _turn(catalogue), _Bar() as bar:
        try:
            tools = make_tools(config, config.models, threading.Event(), tries=TRIES, tell=bar.tell)
            yield Machine(ledger, Slots(catalogue), tools)
        except (ConfigError, Unfit) as error:
            raise BadInput(str(error)) from error
        except CarrierError as error:
            raise Failed(f"{error}; what has come stays: give the command again") from error


class _Bar:
    """How much has come, on a terminal."""

    def __enter__(self) -> _Bar:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, transient=True, console=Console(stderr=True))
        self._task: Any = None
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tell(self, job: Job, progress: Progress) -> None:
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task(f"{job.model}@{job.version}", total=progress.total_bytes)
        self._progress.update(self._task, completed=progress.done_bytes, total=progress.total_bytes)
