"""Where a device is with configurations from afar. Every move is a rule without clock, disk or network."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import Enum

MOST_STARTS = 3
"""So many starts on trial without being kept: the configuration, or what it does to us, ends the process."""


class State(str, Enum):
    """Of what is wanted."""

    FETCH = "fetch"
    """Is to be fetched, judged and put to use."""
    TRIAL = "trial"
    """Is used, and is taken back if it does not hold."""
    KEPT = "kept"
    RETURNED = "returned"
    """Could not be used, or did not hold; the last good one is used."""


@dataclass(frozen=True, slots=True)
class Version:
    """A signed configuration."""

    name: str
    """And its version, such as `docks@3`; empty: the file on the device alone."""
    digest: str = ""
    """SHA-256 of its text."""
    serial: int = 0
    """Counts what its owner has published."""

    def __str__(self) -> str:
        return self.name or "the file on the device"


FILE_ALONE = Version("")


@dataclass(frozen=True, slots=True)
class Standing:
    """Written whole or not at all: whoever starts next finds the one before a move or the one after it."""

    n: int = 0
    """Of the last desired document that was taken."""
    wanted: str = ""
    """Name of what it asked for; empty: the file alone."""
    state: State = State.KEPT
    reason: str = ""
    good: Version = FILE_ALONE
    """The last that held. It stays for ever, or until another one has held."""
    before: Version = FILE_ALONE
    """And the one before it."""
    trial: Version | None = None
    starts: int = 0
    """How often the appliance was started in this trial."""
    faults: tuple[str, ...] = ()
    """What was away already before the trial, with the good one in use: not its doing."""

    @property
    def active(self) -> Version:
        """What is to be used now."""
        return self.good if self.trial is None else self.trial

    def hear(self, n: int, wanted: str) -> Standing:
        """A desired document. One that was heard before, or an older one, changes nothing; a newer one ends a trial of
        something else."""
        if n <= self.n:
            return self
        if self.trial is not None and self.trial.name == wanted:
            return replace(self, n=n)
        state = State.KEPT if wanted == self.good.name else State.FETCH
        return replace(self, n=n, wanted=wanted, state=state, reason="", trial=None, starts=0)

    def begin(self, version: Version, faults: tuple[str, ...]) -> Standing:
        """It has been judged, and its text is on the disk."""
        return replace(self, state=State.TRIAL, reason="", trial=version, starts=0, faults=faults)

    def keep(self) -> Standing:
        """The trial has held."""
        assert self.trial is not None, "only what is on trial is kept"
        return replace(
            self, state=State.KEPT, reason="", good=self.trial, before=self.good, trial=None, starts=0, faults=()
        )

    def give_back(self, reason: str) -> Standing:
        """What is wanted is not to be used; what was good is used, or goes on being used."""
        return replace(self, state=State.RETURNED, reason=reason, trial=None, starts=0)

    def revoke(self, versions: Collection[Version], reason: str) -> Standing:
        """Their owner has taken these back: none of them is used, or gone back to. What is on its way goes on."""
        good, before = self.good, FILE_ALONE if self.before in versions else self.before
        if good in versions:
            good, before = before, FILE_ALONE
        rest = replace(self, good=good, before=before)
        if self.active not in versions:
            return rest
        return replace(rest, reason=reason) if self.state is State.FETCH else rest.give_back(reason)

    def go_back(self, reason: str) -> Standing:
        """A person at the device wants the one before: a trial is given up, what was kept gives way to its
        predecessor. Stays so until a newer document comes."""
        if self.trial is not None:
            return self.give_back(reason)
        return replace(self.give_back(reason), good=self.before, before=self.good)

    def start(self) -> Standing:
        """The appliance starts, before anything is opened."""
        if self.trial is None:
            return self
        starts = self.starts + 1
        if starts >= MOST_STARTS:
            return self.give_back(f"{MOST_STARTS} starts without being kept: it ends the process")
        return replace(self, starts=starts)
