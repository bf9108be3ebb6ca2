"""The recording of one pipeline: what its tape gives becomes journals, and journals become clips."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from appliance.config_pipeline import Pipeline
from appliance.pipeline.snapshot import LONGEST_SIDE
from appliance.recorder.clip import Clip, Head, head_line
from appliance.recorder.develop import Undeveloped, develop
from appliance.recorder.entry import Entry, Heard
from appliance.recorder.journal import Journal, JournalError
from appliance.recorder.moment import Limits, Moment
from appliance.recorder.pictures import compressed
from appliance.recorder.shelf import Shelf
from appliance.recorder.tape import Said, Tape
from appliance.result import Clock
from capture.samples import Frame, Sample

logger = logging.getLogger(__name__)

AGAIN_AFTER_S = 30.0
"""A clip that could not be made is tried again after so long."""
ROOM_BYTES = 4 << 20
"""Less than this to spare, and no clip is begun."""


@dataclass(frozen=True, slots=True)
class DeckFigures:
    """What health says of the recording of one pipeline."""

    recording: bool
    clips: int
    """Made since the start."""
    bytes: int
    """On disk."""
    waiting: int
    """Clips that are not encoded yet."""
    dropped: int
    """Samples that are in no clip because the recorder was behind."""
    trouble: str | None = None
    """Why nothing is recorded just now."""


class Deck:
    """Of the thread `recorder`; only `figures` is for any."""

    def __init__(
        self,
        settings: Pipeline,
        device: str,
        kind: Literal["video", "sound"],
        tape: Tape,
        shelf: Shelf,
        clock: Callable[[], Clock],
    ) -> None:
        kept = settings.recorder
        assert kept is not None, "a pipeline with a table `recorder`"
        self.name = settings.name
        self.tape = tape
        self.shelf = shelf
        self.figures = DeckFigures(False, 0, 0, 0, 0)
        self.trouble: str | None = None
        self._settings = settings
        self._device = device
        self.kind = kind
        self._clock = clock
        self._exact = kept.exact or kind == "sound"
        labels = None if kept.labels is None else frozenset(kept.labels)
        self._moment = Moment(Limits(kept.before_s, kept.after_s, kept.longest_s, labels))
        self._samples: dict[int, Sample] = {}
        """By monotonic time: a source that is opened again numbers its samples anew."""
        self._heard_to: int | None = None
        self._journal: Journal | None = None
        self._written = 0
        self._work: Generator[Clip | None, None, None] | None = None
        self._part = Path()
        """What `_work` works on."""
        self._tries: Counter[str] = Counter()
        """Names of clips that could not be made: how often."""
        self._again_s = 0.0
        self._clips = 0

    def prepare(self) -> bool:
        """Make the folder and put it in order; may raise OSError."""
        self.shelf.tidy()
        return True

    # -- what was seen and heard ----------------------------------------------------------------------------------

    def listen(self) -> bool:
        """Take what the tape has; whether there was anything."""
        said, samples = self.tape.take()
        self._samples |= {sample.stamp.mono_ns: sample for sample in samples}
        for each in said:
            self._take(self._entry(each))
        if said:
            newest_ns = said[-1].stamp.mono_ns
            self._samples = {ns: sample for ns, sample in self._samples.items() if ns > newest_ns}
        return bool(said)

    def stop(self) -> None:
        """What is being recorded ends here; it is developed at the next start."""
        self._moment.stop()
        self._close()
        if self._work is not None:
            self._work.close()

    def _entry(self, said: Said) -> Entry:
        sample = self._samples.get(said.stamp.mono_ns)
        if sample is None or (isinstance(sample, Frame) and max(sample.pixels.shape) > LONGEST_SIDE):
            return Entry.of(said, b"")
        if isinstance(sample, Frame):
            return Entry.of(said, compressed(sample.pixels, exact=self._exact))
        end = sample.start + len(sample.samples)
        known = self._heard_to
        first = sample.start if known is None or not sample.start <= known <= end else known
        self._heard_to = end
        data = sample.samples[first - sample.start :].astype("<f4").tobytes()
        return Entry.of(said, data, Heard(sample.start, len(sample.samples), sample.rate_hz))

    def _take(self, entry: Entry) -> None:
        entries = self._moment.take(entry)
        if entries and self._journal is None and not self._begin(entries):
            self._moment.stop()
            return
        for each in entries:
            if not self._write(each):
                self._moment.stop()
                break
        if not self._moment.on:
            self._close()

    def _begin(self, entries: list[Entry]) -> bool:
        needed = sum(entry.size for entry in entries) + ROOM_BYTES
        name = ""
        try:
            if not self.shelf.make_room(min(needed, self.shelf.most_of_one)):
                self._complain("the disk is full: nothing is recorded until there is room")
                return False
            name = self.shelf.begin(entries[0].unix_ns)
            table = self._settings.model_dump(mode="json", exclude={"recorder", "remote", "motion"})
            source = self._settings.source
            head = Head(name, self._device, source, self.kind, self._clock(), self._exact, table)
            self._journal = Journal(self.shelf.path(name, "part"), head_line(head))
        except OSError as error:
            self._complain(f"nothing can be recorded: {error.strerror}")
            self.shelf.busy.discard(name)
            return False
        self.trouble = None
        return True

    def _write(self, entry: Entry) -> bool:
        """False: it took no more, or may take no more."""
        journal = self._journal
        assert journal is not None
        if journal.bytes + entry.size > self.shelf.most_of_one:
            return False
        try:
            if not self.shelf.make_room(entry.size):
                self._complain("the disk is full: the clip ends here")
                return False
            journal.add(entry)
        except OSError as error:
            self._complain(f"the clip ends here: {error.strerror}")
            return False
        return True

    def _close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self.shelf.busy.discard(self._journal.path.stem)
            self._journal = None

    # -- clips ----------------------------------------------------------------------------------------------------

    def work(self, now_s: float) -> bool:
        """One piece of the clip that is being made; whether there was anything to do. May raise OSError."""
        if self._work is None:
            waiting = sorted(self.shelf.waiting(), key=lambda part: self._tries[part.stem])  # else the oldest first
            if not waiting or (self._tries[waiting[0].stem] and now_s < self._again_s):
                return False
            self._part = waiting[0]
            self.shelf.busy.add(self._part.stem)
            self._work = develop(self._part, self.shelf)
        try:
            clip = next(self._work)
        except JournalError as error:
            logger.warning("%s: a clip is lost: %s", self.name, error)
            self.shelf.remove(self._part.stem)
            self._rest()
        except Undeveloped as error:
            self._complain(f"a clip cannot be made yet: {error}")
            self._tries[self._part.stem] += 1
            self._again_s = now_s + AGAIN_AFTER_S
            self._rest()
        else:
            if clip is not None:
                self._rest()
                del self._tries[clip.name]
                self.shelf.settle(clip.name, dated=clip.clock == "synced")
                self.trouble = None
                self._clips += 1
                logger.info("%s: clip %s, %.1f s, %s", self.name, clip.name, clip.seconds, ", ".join(clip.labels))
        return True

    def _rest(self) -> None:
        self._work = None
        self.shelf.busy.discard(self._part.stem)

    def expire(self) -> bool:
        """See what is there, and delete what is too old while the clock is right. May raise OSError."""
        self.shelf.look()
        gone = self.shelf.expire() if self._clock() == "synced" else 0
        if gone:
            logger.info("%s: %d clips were older than keep_days and are deleted", self.name, gone)
        return gone > 0

    def count(self) -> bool:
        """Bring the figures up to date; may raise OSError."""
        self.figures = DeckFigures(
            recording=self._journal is not None,
            clips=self._clips,
            bytes=self.shelf.bytes(),
            waiting=len(self.shelf.waiting()),
            dropped=self.tape.dropped,
            trouble=self.trouble,
        )
        return True

    def _complain(self, words: str) -> None:
        if self.trouble != words:
            logger.warning("%s: %s", self.name, words)
        self.trouble = words
