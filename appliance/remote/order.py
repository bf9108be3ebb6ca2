"""The open samples of one pipeline in the order they came: each leaves once, none after a younger one."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator

from appliance.remote.open_sample import Answered, Ending, OpenSample


class Order:
    """Of an `every` pipeline an ended sample waits until those before it have ended.

    Otherwise the newest wins: an answer makes the older samples out of date, except one whose own answer is there
    already, and one whose second opinion is still out, which is waited for. And of the samples that nobody could start
    on yet only the oldest and the newest are held: the oldest keeps its deadline, so that silence never lasts longer
    than that.
    """

    def __init__(self, every: bool) -> None:
        self.dropped = 0
        """Samples that gave way to newer ones."""
        self._every = every
        self._open: deque[OpenSample] = deque()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[OpenSample]:
        return iter(tuple(self._open))

    def __contains__(self, entry: OpenSample) -> bool:
        return any(each is entry for each in self._open)

    @property
    def newest(self) -> OpenSample | None:
        """The newest that has not ended."""
        return next((each for each in reversed(self._open) if each.ending is None), None)

    def add(self, entry: OpenSample) -> None:
        self._open.append(entry)

    def tidy(self) -> None:
        """Drop what a newer one has made superfluous before anybody began with it."""
        if self._every:
            return
        newest = self.newest
        for entry in tuple(self._open)[1:]:
            if entry is not newest and entry.waits and entry.spare is None:
                self._drop(entry)

    def end(self, entry: OpenSample, ending: Ending) -> None:
        """Known now: how this one ends."""
        entry.ending = ending
        if self._every or not isinstance(ending, Answered):
            return
        before = tuple(itertools.takewhile(lambda each: each is not entry, self._open))
        for older in reversed(before):
            if older.ending is None and older.doubtful_score is not None and older.questions > 0:
                return  # what came before a second opinion that is out is not overtaken until that is in
            if older.ending is None and older.spare is not None:
                older.ending = older.spare
            elif not isinstance(older.ending, Answered):
                self._drop(older)

    def leaving(self) -> Iterator[OpenSample]:
        """Those that can be given out now, in order."""
        while self._open and self._open[0].ending is not None:
            yield self._open.popleft()

    def _drop(self, entry: OpenSample) -> None:
        self._open.remove(entry)
        self.dropped += 1
