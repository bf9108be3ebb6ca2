"""A device's machine over HTTP, as the daemon and the commands make it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from appliance.catalogue import Catalogue
from appliance.config import parse
from appliance.sync.ledger import Job, Ledger
from appliance.sync.machine import Machine, Tools
from appliance.sync.published import Reference
from appliance.sync.slots import Slots
from appliance.sync.states import TRIED, State
from appliance.sync.wiring import make_tools
from engines.library import Library


def catalogue(folder: Path) -> Catalogue:
    return Catalogue.before_shipped(Library(folder / "models"))


def tools(url: str, root: Path, checkpoint: Callable[[str], None] = lambda _words: None) -> Tools:
    config = parse(f'[models]\nregistry = "{url}"\nroot = "{root}"\n[gpu]\nbuild = false\n', "test")
    assert config.models is not None
    return replace(make_tools(config, config.models, threading.Event(), tries=3), checkpoint=checkpoint)


@contextmanager
def machine(folder: Path, made: Tools) -> Iterator[Machine]:
    slots = Slots(catalogue(folder))
    with Ledger(slots.ledger) as ledger:
        yield Machine(ledger, slots, made)


def tried(machine: Machine, reference: str, *, activate: bool = False) -> Job:
    """As far as it comes without a daemon."""
    job = machine.want(Reference.parse(reference), activate=activate, now_s=0.0)
    while job.state in TRIED:
        job = machine.advance(job)
    return job


def whole_way(folder: Path, made: Tools, reference: str) -> None:
    """From the wish to being kept, from wherever an earlier life has left it."""
    with machine(folder, made) as at_work:
        at_work.activation.recover()
        job = tried(at_work, reference, activate=True)
        if job.state is State.READY:
            job = at_work.ledger.move(job, State.ACTIVATE)
        if job.state is State.ACTIVATE:
            job = at_work.activation.activate(job)
        if job.state is State.PROBATION:
            at_work.activation.keep(job)
