"""Where the live page gets what it shows: every thread leaves its newest here and goes on.

While nobody watches, a sample costs one look at `watched`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, TypeAlias

from appliance.health import Health
from appliance.mailbox import Mailbox
from appliance.page.viewers import Viewer
from appliance.result import Result
from appliance.uplink.outgoing import Outgoing
from capture.samples import AudioWindow, Frame, Sample

NEWS = 512
SOUNDS = 64


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer with the picture that it is about; without one it was sound, or the pixels are gone."""

    result: Result
    frame: Frame | None


@dataclass(frozen=True, slots=True)
class Joined:
    """Somebody has begun to watch."""

    viewer: Viewer


@dataclass(frozen=True, slots=True)
class Described:
    """What runs from now on."""

    document: dict[str, Any]


News: TypeAlias = "Outgoing | Health | Joined | Described"


class Hub:
    """Any thread puts in, the thread `page encoder` takes out."""

    def __init__(self) -> None:
        self.ready = threading.Condition()
        """Notified of news. Samples and answers wake nobody: the encoder looks for them at its own pace."""
        self.watched = 0
        """How many watch; set by the event loop."""
        self.news: Mailbox[News] = Mailbox(NEWS, self.ready)
        self.sounds: Mailbox[AudioWindow] = Mailbox(SOUNDS)
        self.pictures: dict[str, Mailbox[Frame]] = {}
        """By source: the newest picture, for sources that nobody answers."""
        self.answers: dict[str, Mailbox[Shown]] = {}
        """By pipeline: its newest answer."""
        self.answered: frozenset[str] = frozenset()
        """Sources whose pictures come with answers; set by the encoder."""

    def describe(self, sources: list[str], pipelines: list[str], document: dict[str, Any]) -> None:
        """What runs from now on; by the main thread, before it starts."""
        self.pictures = {name: Mailbox(1) for name in sources}
        self.answers = {name: Mailbox(1) for name in pipelines}
        self.news.put(Described(document))

    def offer(self, sample: Sample) -> None:
        """A sample as it left its source; by the capture thread."""
        if not self.watched:
            return
        if isinstance(sample, AudioWindow):
            self.sounds.put(sample)
        elif sample.source not in self.answered and sample.source in self.pictures:
            self.pictures[sample.source].put(sample)

    def shown(self, result: Result, sample: Sample | None) -> None:
        """An answer, and what it is about as far as it is still there; by the thread that publishes it."""
        if self.watched and result.pipeline in self.answers:
            self.answers[result.pipeline].put(Shown(result, sample if isinstance(sample, Frame) else None))

    def posted(self, document: Outgoing) -> None:
        """Something was handed to the uplink. Results are left out: `shown` has them, with their pictures."""
        if not isinstance(document.document, Result):
            self.news.put(document)

    def standing(self, health: Health) -> None:
        """How the appliance is; by the main thread, while somebody watches."""
        self.news.put(health)

    def forget(self) -> None:
        """Nobody watches any more: hold on to no picture."""
        for pictures in self.pictures.values():
            pictures.take_all(0)
        for answers in self.answers.values():
            answers.take_all(0)
        self.sounds.take_all(0)
