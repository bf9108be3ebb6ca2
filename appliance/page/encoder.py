"""The thread `page encoder`: makes records of what the hub was given, once for all who watch.

Pictures are encoded by a process that gives way to ours (`jpeg_process.py`); a thread cannot, for it may be put aside
while it holds the interpreter's lock. It rests nine times as long as a picture takes, so that it takes little from
those that capture and infer however busy the device is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from appliance.health import Health
from appliance.page import pictures
from appliance.page.hub import Described, Hub, Joined, News, Shown
from appliance.page.jpeg_process import JpegProcess
from appliance.page.memory import Memory
from appliance.page.record import Record, record
from appliance.page.spectrogram import BANDS, COLUMNS_PER_S, Spectrogram
from appliance.page.viewers import Viewer
from appliance.result import Event, Gap, Result, to_json
from capture.samples import AudioWindow, Frame

logger = logging.getLogger(__name__)

PICTURES_PER_S = 15.0
ANSWERS_PER_S = 10.0
"""Of pipelines without pictures."""
MOST_BUSY = 0.1
"""Share of its time that the thread makes pictures in. On a device with time to spare that is no limit; on a busy one
everything takes longer, and the page shows fewer pictures rather than have answers come later."""
ALONE_AFTER_S = 1.0
"""A camera whose pictures nobody has answered for so long is shown as it is."""
IDLE_S = 0.5
KEPT_S = 60.0
"""How long the process that encodes is kept when nobody watches: a page that is loaded again finds it."""
LOOKS_EVERY_S = 0.03
"""For samples and answers, while somebody watches: being woken for each would cost those who bring them."""
NEAR = 5
"""Pictures apart: an event's own may have been left out, one so near shows the same."""

Show = Callable[[Sequence["tuple[Viewer | None, Record]"]], None]
"""Hands records to the event loop; never blocks."""


@dataclass(slots=True)
class _Source:
    due_s: float = 0.0
    answered_s: float = float("-inf")
    frame: Frame | None = None
    """The one that was shown last, for pictures of events."""


@dataclass(slots=True)
class _Turn:
    """What one turn makes."""

    records: list[tuple[Viewer | None, Record]] = field(default_factory=list)

    def add(self, made: Record | None, whom: Viewer | None = None) -> None:
        if made is not None:
            self.records.append((whom, made))


class Encoder:
    """`run` is the body of the thread."""

    def __init__(self, hub: Hub, root: str, show: Show) -> None:
        """`root`: of the device's topics."""
        self.memory = Memory()
        self._hub = hub
        self._root = root
        self._show = show
        self._sources: dict[str, _Source] = {}
        self._answers_due_s: dict[str, float] = {}
        self._spectrograms: dict[str, Spectrogram] = {}
        self._process = JpegProcess()
        self._rested_s = 0.0
        """When the next picture may be made."""
        self._awake = False
        """Whether somebody watched at the last turn."""
        self._watched_s = 0.0
        """When somebody last did."""

    def run(self, stopping: threading.Event) -> None:
        try:
            while not stopping.is_set():
                with self._hub.ready:
                    self._hub.ready.wait_for(self._anything, LOOKS_EVERY_S if self._hub.watched else IDLE_S)
                self.turn(time.monotonic())
        finally:
            self._process.end()

    def turn(self, now_s: float) -> None:
        """Everything that is there and due."""
        turn = _Turn()
        answers = self._due_answers(now_s)
        begun_s = time.monotonic()
        frames = {shown.frame.source: shown.frame for shown in answers if shown.frame is not None}
        for news in self._hub.news.take_all(0):
            turn.add(*self._told(news, frames, turn))
        if self._hub.watched:
            self._awake, self._watched_s = True, now_s
            self._answer(answers, now_s, turn)
            self._look(now_s, turn)
            ended_s = time.monotonic()
            self._rested_s = max(self._rested_s, ended_s + (ended_s - begun_s) * (1 / MOST_BUSY - 1))
            for window in self._hub.sounds.take_all(0):
                turn.add(self._heard(window))
        else:
            self._rest(now_s)
        if turn.records:
            self._show(turn.records)

    # -- waiting --------------------------------------------------------------------------------------------------

    def _anything(self) -> bool:
        return len(self._hub.news) > 0 or (self._awake and not self._hub.watched)

    def _source(self, name: str) -> _Source:
        return self._sources.setdefault(name, _Source())

    def _answer_due_s(self, pipeline: str) -> float:
        return max(self._rested_s, self._answers_due_s.get(pipeline, 0.0))

    def _picture_due_s(self, source: str) -> float:
        return max(self._rested_s, self._source(source).due_s)

    def _rest(self, now_s: float) -> None:
        self._awake = False
        if now_s > self._watched_s + KEPT_S:
            self._process.end()
        self._hub.forget()
        self._sources.clear()
        self._answers_due_s.clear()
        self._spectrograms.clear()
        self._hub.answered = frozenset()

    # -- what came ------------------------------------------------------------------------------------------------

    def _told(self, news: News, frames: dict[str, Frame], turn: _Turn) -> tuple[Record | None, Viewer | None]:
        if isinstance(news, Joined):
            for made in self.memory.everything():
                turn.add(made, news.viewer)
            return None, None
        if isinstance(news, Described):
            return self.memory.describe(news.document), None
        if isinstance(news, Health):
            return self.memory.standing(news), None
        document = news.document
        if isinstance(document, Health):
            return self.memory.standing(document), None
        if isinstance(document, (Event, Gap)):
            return self.memory.happened(document, self._thumbnail(document, frames)), None
        return self.memory.state(news, self._root), None

    def _thumbnail(self, event: Event | Gap, frames: dict[str, Frame]) -> bytes:
        """What the event is about, when its picture is still there."""
        if not self._hub.watched or not isinstance(event, Event):
            return b""
        state = event.after or event.before
        shown = frames.get(event.source) or self._source(event.source).frame
        if event.event == "end" or state is None or state.box is None or shown is None:
            return b""
        if abs(shown.seq - event.seq) > NEAR:
            return b""
        return pictures.thumbnail(shown.pixels, state.box)

    def _due_answers(self, now_s: float) -> list[Shown]:
        due = [box for name, box in self._hub.answers.items() if now_s >= self._answer_due_s(name)]
        return [shown for box in due if (shown := box.take(0)) is not None] if self._hub.watched else []

    def _answer(self, answers: list[Shown], now_s: float, turn: _Turn) -> None:
        """The newest picture of each source with all that is said of it; what is said of others goes alone."""
        newest: dict[str, Frame] = {}
        for shown in answers:
            self._answers_due_s[shown.result.pipeline] = _next(
                self._answer_due_s(shown.result.pipeline), now_s, PICTURES_PER_S if shown.frame else ANSWERS_PER_S
            )
            frame = shown.frame
            if frame is not None and (frame.source not in newest or frame.seq > newest[frame.source].seq):
                newest[frame.source] = frame
        for source, frame in newest.items():
            seen = self._source(source)
            if seen.frame is None or frame.seq != seen.frame.seq:
                about = [each.result for each in answers if each.result.source == source]
                said = [result for result in about if result.seq == frame.seq]
                turn.add(picture(frame, said, self._process))
                answers = [each for each in answers if each.result not in about or each.result.seq != frame.seq]
            seen.frame, seen.answered_s = frame, now_s
        for shown in answers:
            place = ("result", shown.result.pipeline)
            turn.add(record(to_json(shown.result), place=place))

    def _look(self, now_s: float, turn: _Turn) -> None:
        """Pictures that nobody answers."""
        self._hub.answered = frozenset(
            name for name, source in self._sources.items() if now_s - source.answered_s < ALONE_AFTER_S
        )
        for name, box in self._hub.pictures.items():
            source = self._source(name)
            if now_s < self._picture_due_s(name):
                continue
            frame = box.take(0)
            if frame is not None and name not in self._hub.answered:
                source.due_s = _next(source.due_s, now_s, PICTURES_PER_S)
                source.frame = frame
                turn.add(picture(frame, [], self._process))

    def _heard(self, window: AudioWindow) -> Record:
        known = self._spectrograms.get(window.source)
        if known is None or known.rate_hz != window.rate_hz:
            known = self._spectrograms[window.source] = Spectrogram(window.rate_hz)
        heard = known.hear(window)
        head = {
            "type": "sound",
            "source": window.source,
            "bands": BANDS,
            "columns": len(heard.columns),
            "per_s": COLUMNS_PER_S,
            "rms_db": heard.rms_db,
            "peak_db": heard.peak_db,
            "rate_hz": window.rate_hz,
        }
        return record(head, heard.columns.tobytes())


def _next(due_s: float, now_s: float, per_s: float) -> float:
    """When the next one is due: in step with the last, unless that is long ago."""
    return max(due_s, now_s - 0.5 / per_s) + 1.0 / per_s


def picture(frame: Frame, results: Sequence[Result], process: JpegProcess | None = None) -> Record:
    """A picture and what is said of it. Boxes refer to `width` and `height`; the JPEG may be smaller. `process`: who
    encodes it, when it can; else this thread."""
    height, width = frame.pixels.shape[:2]
    head = _head(frame.source, frame.seq, width, height, results)
    return record(head, pictures.shown(frame.pixels, process), place=("picture", frame.source))


def _head(source: str, seq: int, width: int, height: int, results: Sequence[Result]) -> bytes:
    """Names are letters, digits and `._-`: they need no escaping."""
    said = b",".join(to_json(result) for result in results)
    place = f'{{"type":"picture","source":"{source}","seq":{seq},"width":{width},"height":{height},"results":['
    return place.encode() + said + b"]}"
