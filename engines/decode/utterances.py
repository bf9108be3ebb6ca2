"""From a probability of speech per window to utterances: when one begins, and when it is over.

The rules are those of Silero's `get_speech_timestamps` (github.com/snakers4/silero-vad), as a stream: an utterance
begins with the first window at or above the threshold. It ends where the probability first fell below the lower
threshold, once it has stayed below for `min_silence`; a window at or above the upper threshold in between cancels that.
Short ones are dropped, the others padded at both ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from engines.predictions import Segment


@dataclass(frozen=True, slots=True)
class Rules:
    """Lengths in samples."""

    label: str
    rate_hz: int
    min_speech: float
    """An utterance must be longer."""
    min_silence: float
    pad: int


class Utterances:
    """The utterances of one microphone."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._began: int | None = None
        self._quiet_since: int | None = None
        self._earliest = 0
        """Padding reaches neither into the utterance before, nor into sound that was lost."""

    @property
    def speaking(self) -> bool:
        """An utterance is going on."""
        return self._began is not None

    def hear(self, probability: float, start: int, end: int, begin_at: float, end_below: float) -> list[Segment]:
        """One window of the stream, from sample `start` to `end`; returns the utterance that it ended, if any."""
        if probability >= begin_at:
            self._quiet_since = None
            if self._began is None:
                self._began = start
        elif probability < end_below and self._began is not None:
            if self._quiet_since is None:
                self._quiet_since = start
            if start - self._quiet_since >= self._rules.min_silence:
                return self._end(self._quiet_since, limit=end)
        return []

    def finish(self, end: int) -> list[Segment]:
        """The stream ends at sample `end`."""
        return self._end(end, limit=end)

    def restart(self, start: int) -> None:
        """The stream goes on at sample `start`, after it was finished elsewhere."""
        self._began, self._quiet_since, self._earliest = None, None, start

    def _end(self, end: int, limit: int) -> list[Segment]:
        began, self._began, self._quiet_since = self._began, None, None
        if began is None or end - began <= self._rules.min_speech:
            return []
        first = max(began - self._rules.pad, self._earliest)
        last = min(end + self._rules.pad, limit)
        self._earliest = last
        rate = self._rules.rate_hz
        return [Segment(self._rules.label, start_s=first / rate, end_s=last / rate)]
