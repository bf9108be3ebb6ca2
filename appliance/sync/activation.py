"""The moment a version becomes the active one, and the way back from it, whatever happened in between."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import replace

from appliance.sync.ledger import Job, Ledger
from appliance.sync.slots import NOTHING, Slots
from appliance.sync.states import State

logger = logging.getLogger(__name__)

MOST_STARTS = 3
"""So many starts in shadow, or in probation, without being kept: the model, or what it does to us, ends the process."""

FETCHED = "fetched"
"""Before the name of a model, the key of a note: its versions that were installed from here, the oldest first."""


class Activation:
    """Used on one thread, with an open ledger. Every step may be cut short anywhere, and is completed by `recover`."""

    def __init__(self, ledger: Ledger, slots: Slots, checkpoint: Callable[[str], None] = lambda _words: None) -> None:
        """`checkpoint`: called after everything that is on the disk; here a test pulls the plug."""
        self.ledger = ledger
        self.slots = slots
        self._checkpoint = checkpoint

    def activate(self, job: Job) -> Job:
        """Make it the active version, on probation. Raises EngineError, OSError."""
        self._remember(job)
        previous = job.previous or self.slots.prepare(job, self._checkpoint)
        job = self.ledger.move(job, State.PROBATION, "activated", previous=previous, starts=0, reason="")
        self._checkpoint("probation is written")
        self.slots.point(job.model, job.version)
        self._checkpoint("the pointer has moved")
        return job

    def keep(self, job: Job) -> Job:
        """It has held. The version before stays where it is."""
        self.ledger.raise_mark(f"serial {job.model}", job.serial)
        job = self.ledger.move(job, State.KEPT, "kept")
        self._checkpoint("kept")
        self.slots.unstage(job)
        return job

    def tidy(self, job: Job, named: Collection[str] = ()) -> None:
        """A version was kept: of those that were fetched earlier, only what can be gone back to stays on the disk.
        `named`: models as pipelines name them; a version that one of them names stays. Raises EngineError, OSError."""
        stays = {job.version, job.previous, self.slots.active_version(job.model), self.ledger.note(f"pin {job.model}")}
        stays |= {name.removeprefix(f"{job.model}@") for name in named}
        fetched = self._fetched(job.model)
        for version in [each for each in fetched if each not in stays]:
            self.slots.withdraw(job.model, version)
            self.ledger.tell(job.model, version, "removed", f"{job.version} is kept, {job.previous} stays")
        self.ledger.put_note(f"{FETCHED} {job.model}", [each for each in fetched if each in stays])

    def _remember(self, job: Job) -> None:
        """What a person has installed is left alone for ever."""
        fetched = self._fetched(job.model)
        if job.version not in fetched and not self.slots.has(job.model, job.version):
            self.ledger.put_note(f"{FETCHED} {job.model}", [*fetched, job.version])

    def _fetched(self, model: str) -> list[str]:
        found: list[str] | None = self.ledger.note(f"{FETCHED} {model}")
        return found or []

    def give_back(self, job: Job, reason: str, *, deny: bool) -> Job:
        """The version before is the active one, whatever state this one was in. `deny`: never try it again."""
        was_active = job.state in (State.PROBATION, State.KEPT)
        if deny and job.digest:
            self.ledger.deny(job.digest, job.model, job.version, reason)
        job = self.ledger.move(job, State.RETURNED, "returned", reason=reason)
        logger.warning("%s@%s: returned: %s", job.model, job.version, reason)
        self._checkpoint("the return is written")
        if was_active:
            self._point_back(job)
        self.slots.unstage(job)
        return job

    def _point_back(self, job: Job) -> None:
        """What was activated and has returned; done once, so that a person may choose it again later."""
        if job.previous and self.slots.active_version(job.model) == job.version:
            self._exchange(job)
        self.ledger.put(replace(job, previous=""))

    def _exchange(self, job: Job) -> None:
        if job.previous == NOTHING:
            self.slots.withdraw(job.model, job.version)
        else:
            self.slots.point(job.model, job.previous)
        self._checkpoint("the pointer is back")

    def recover(self) -> None:
        """Before any model is opened: what a dead process left half done is completed, starts in shadow and in
        probation are counted, and what ended too many of them is returned. Needs no network."""
        for job in self.ledger.jobs():
            if job.state is State.RETURNED and job.previous:
                self._point_back(job)
            elif job.state is State.KEPT:
                self.slots.unstage(job)
            elif job.state in (State.SHADOW, State.PROBATION):
                job = self.ledger.put(replace(job, starts=job.starts + 1))
                if job.starts >= MOST_STARTS:
                    self.give_back(job, f"{MOST_STARTS} starts without being kept: it ends the process", deny=True)
                elif job.state is State.PROBATION:
                    self.slots.point(job.model, job.version)
