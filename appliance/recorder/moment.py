"""When a clip begins and ends, and what of the past belongs to it. Pure: no clock, no file."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from appliance.recorder.entry import Entry
from appliance.result import Event

MOST_BYTES = 64 << 20
"""Of samples that are kept in memory in case something happens."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the clips of one pipeline."""

    before_s: float
    after_s: float
    longest_s: float
    labels: frozenset[str] | None = None
    """Whose events begin a clip; None: all."""


class Moment:
    """Entries go in one by one; those that belong to a clip come out, oldest first."""

    def __init__(self, limits: Limits, most_bytes: int = MOST_BYTES) -> None:
        self._limits = limits
        self._most_bytes = most_bytes
        self._past: deque[Entry] = deque()
        self._bytes = 0
        self._began_s: float | None = None
        self._until_s = 0.0

    @property
    def on(self) -> bool:
        """Whether a clip is being made."""
        return self._began_s is not None

    @property
    def bytes(self) -> int:
        """Held in memory."""
        return self._bytes

    def take(self, entry: Entry) -> list[Entry]:
        """The entries to write now: all that is kept of the past when a clip begins, then each as it comes. After it
        `on` says whether the clip goes on."""
        if self._began_s is None:
            self._keep(entry)
            if not any(_begins(event, self._limits.labels) for event in entry.events):
                return []
            written = list(self._past)
            self._forget()
            self._began_s = written[0].at_s
            self._until_s = entry.at_s + self._limits.after_s
            return written
        if entry.events:
            self._until_s = entry.at_s + self._limits.after_s
        if entry.at_s >= min(self._until_s, self._began_s + self._limits.longest_s):
            self.stop()
        return [entry]

    def stop(self) -> None:
        """The clip ends here, for whatever reason."""
        self._began_s = None

    def _keep(self, entry: Entry) -> None:
        self._past.append(entry)
        self._bytes += entry.size
        while self._past and self._bytes > self._most_bytes:
            self._drop()
        # From an entry with the pipeline's memory on a replay is exact: the past begins with one, if there is one.
        starts = [place for place, each in enumerate(self._past) if each.memory is not None]
        wanted_s = entry.at_s - self._limits.before_s
        first = max((place for place in starts if self._past[place].at_s <= wanted_s), default=None)
        if first is None:  # none is so old: while nothing is answered, there is no memory to begin with
            first = next((place for place, each in enumerate(self._past) if each.at_s >= wanted_s), 0)
        for _ in range(first):
            self._drop()

    def _drop(self) -> None:
        self._bytes -= self._past.popleft().size

    def _forget(self) -> None:
        self._past.clear()
        self._bytes = 0


def _begins(event: Event, labels: Collection[str] | None) -> bool:
    state = event.after or event.before
    return event.event == "new" and (labels is None or (state is not None and state.label in labels))


def labels_of(events: Sequence[Event]) -> list[str]:
    """What was new in them, each once, in order."""
    return list(dict.fromkeys(event.after.label for event in events if event.event == "new" and event.after))
