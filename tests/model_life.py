"""Lives of a device that takes a version the whole way: each goes on from where the one before has ended.

python -m tests.model_life FOLDER URL ROOT      one that nobody ends; it says every thing that is on the disk
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from appliance.sync.machine import Machine, Tools
from appliance.sync.published import Reference
from appliance.sync.states import TRIED, State
from tests.appliance.sync.machines import machine, tools, whole_way

OLD, NEW = "1", "2"
WANTED = Reference("shapes", NEW)


@contextmanager
def started(folder: Path, made: Tools) -> Iterator[Machine]:
    """As every start begins. What is active then is whole, and what the ledger says."""
    with machine(folder, made) as at_work:
        at_work.activation.recover()
        job = at_work.ledger.job(WANTED.model)
        active = at_work.slots.active(WANTED.model)
        taken = job is not None and job.state in (State.PROBATION, State.KEPT)
        assert active is not None
        assert active.manifest.version == (NEW if taken else OLD), job
        yield at_work


def there_and_back(at_work: Machine, *, inspected: bool) -> State:
    """From the wish to the return. `inspected`: also look into the version and try it, which takes seconds and leaves
    nothing but a line in the ledger."""
    job = at_work.ledger.job(WANTED.model) or at_work.want(WANTED, activate=True, now_s=0.0)
    while job.state in (TRIED if inspected else (State.FETCH, State.VERIFY)):
        job = at_work.advance(job)
    if job.state in (State.INSPECT, State.READY):
        job = at_work.ledger.move(job, State.ACTIVATE)
    if job.state is State.ACTIVATE:
        job = at_work.activation.activate(job)
    if job.state is State.PROBATION:
        job = at_work.activation.keep(job)
    if job.state is State.KEPT:
        job = at_work.activation.give_back(job, "asked for", deny=True)
    return job.state


def live(folder: Path, url: str, root: Path, *, inspected: bool) -> None:
    """Body of a process that may be killed at any moment."""
    with started(folder, tools(url, root)) as at_work:
        there_and_back(at_work, inspected=inspected)


def die(folder: Path, url: str, root: Path, ending: str, survived: list[str], told: Connection) -> None:
    """Body of a process that is killed after the first thing that was not the end before, and tells it; once there is
    none, it reaches its ending, `keep` or `return`."""

    def checkpoint(words: str) -> None:
        if words not in survived:
            told.send(words)
            os.kill(os.getpid(), signal.SIGKILL)

    made = tools(url, root, checkpoint)
    if ending == "keep":
        whole_way(folder, made, str(WANTED))
        return
    with machine(folder, made) as at_work:
        at_work.activation.recover()
        job = at_work.ledger.job(WANTED.model)
        assert job is not None
        if job.state is State.KEPT:
            at_work.activation.give_back(job, "asked for", deny=True)


def main(folder: Path, url: str, root: Path) -> None:
    """Each thing is said with one write."""

    def checkpoint(words: str) -> None:
        os.write(1, words.encode())

    with started(folder, tools(url, root, checkpoint)) as at_work:
        there_and_back(at_work, inspected=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
