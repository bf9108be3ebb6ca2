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
        self._waiting: dict[Reason, Mailbox[Candidate]] = {"disagreed": Mailbox(), "unsure": Mailbox()}
        """The newest of each: of those that come close to each other one is kept anyway."""
        self._dropped = 0

    def answered(self, sample: Sample, said: Said, other: Said | None = None) -> None:
        """A sample was answered; `other`: a second opinion, where there is one."""
        found = why(self._settings, said.answer, None if other is None else other.answer)
        if found is not None:
            self._waiting[found[0]].put(Candidate(sample, *found, said, other))

    def take(self) -> tuple[Candidate | None, int]:
        """One, rather of a disagreement than of a doubt, and how many others there were since the last call."""
        waiting = [each for mailbox in self._waiting.values() for each in mailbox.take_all(0)]
        before, self._dropped = self._dropped, sum(mailbox.dropped for mailbox in self._waiting.values())
        return (waiting[0] if waiting else None), max(0, len(waiting) - 1) + self._dropped - before
