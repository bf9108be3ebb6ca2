"""What a pipeline leaves for the harvest: whoever answers never waits."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.harvest.reasons import why
from appliance.harvest.sample import Reason
from appliance.harvest.settings import Harvest
from appliance.mailbox import Mailbox
from appliance.result import ModelId
from capture.samples import Sample
from engines.predictions import Answer

WAITING = 2
"""Samples that may wait to be looked at: of those that come close to each other one is kept anyway."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Who said what of a sample, in pixels of the whole picture."""

    by: str
    """As in `Opinion`."""
    model: ModelId
    answer: Answer


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A sample that there is a reason to keep."""

    sample: Sample
    reason: Reason
    why: str
    said: Said
    other: Said | None


class Basket:
    """`answered` is for any thread, `take` for the thread `harvest`."""

    def __init__(self, settings: Harvest) -> None:
        self._settings = settings
        self._waiting: Mailbox[Candidate] = Mailbox(WAITING)
        self._dropped = 0

    def answered(self, sample: Sample, said: Said, other: Said | None = None) -> None:
        """A sample was answered; `other`: a second opinion, where there is one."""
        found = why(self._settings, said.answer, None if other is None else other.answer)
        if found is not None:
            self._waiting.put(Candidate(sample, *found, said, other))

    def take(self) -> tuple[Candidate | None, int]:
        """The newest, and how many others there were since the last call."""
        waiting = self._waiting.take_all(0)
        dropped, self._dropped = self._dropped, self._waiting.dropped
        return (waiting[-1] if waiting else None), max(0, len(waiting) - 1) + self._dropped - dropped
