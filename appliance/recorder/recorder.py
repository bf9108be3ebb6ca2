"""The thread `recorder`: compresses what the pipelines leave, writes clips, makes videos of them in between."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from appliance.recorder import video
from appliance.recorder.deck import Deck, DeckFigures

logger = logging.getLogger(__name__)

LOOKS_EVERY_S = 0.05
"""For samples: being woken for each would cost those who bring them."""
MOST_BUSY = 0.25
"""Share of its time in which the thread makes videos, unless clips are waiting."""
LOOK_EVERY_S = 2.0
EXPIRE_EVERY_S = 60.0


class Recorder:
    """`run` is the body of the thread; `figures` and `complaints` are for any."""

    def __init__(self, decks: Sequence[Deck]) -> None:
        self.decks = tuple(decks)
        self._ready: list[Deck] = []
        """Whose folder is in order."""
        self._missing: str | None = None
        """Why no video can be made on this machine."""
        self._troubles: dict[str, str] = {}
        self._rested_s = 0.0
        self._looked_s = self._expired_s = float("-inf")

    def run(self, stopping: threading.Event) -> None:
        """Until `stopping`. What is being recorded then is made a clip at the next start."""
        self._missing = video.why_not() if any(deck.kind == "video" for deck in self.decks) else None
        if self._missing is not None:
            logger.error("recorder: %s", self._missing)
        while not stopping.wait(0.0 if self._crowded else LOOKS_EVERY_S):
            self.turn(time.monotonic())
        for deck in self._ready:
            deck.stop()

    def turn(self, now_s: float) -> None:
        """Take what came; make a piece of a video when it is time; now and then look after what there is."""
        for deck in self._ready:
            self._tried(deck, deck.listen)
        if now_s >= self._rested_s or self._crowded:
            begun_s = time.monotonic()
            worked = [self._tried(deck, partial(deck.work, now_s)) for deck in self._ready]
            if any(worked):
                ended_s = time.monotonic()
                self._rested_s = ended_s + (ended_s - begun_s) * (1 / MOST_BUSY - 1)
        if now_s - self._looked_s > LOOK_EVERY_S:
            self._looked_s = now_s
            self._look()
        if now_s - self._expired_s > EXPIRE_EVERY_S:
            self._expired_s = now_s
            for deck in self._ready:
                self._tried(deck, deck.expire)

    @property
    def _crowded(self) -> bool:
        """Clips come faster than they are made at leisure."""
        return any(deck.figures.waiting > 1 and not deck.trouble for deck in self._ready)

    def _look(self) -> None:
        for deck in self.decks:
            works = deck.kind == "sound" or self._missing is None
            if works and deck not in self._ready and self._tried(deck, deck.prepare):
                self._ready.append(deck)
        for deck in self._ready:
            if self._tried(deck, deck.count):
                self._troubles.pop(deck.name, None)

    def _tried(self, deck: Deck, act: Callable[[], bool]) -> bool:
        """What it returns. A disk may fail at any moment: then that is said, and the rest goes on."""
        try:
            return act()
        except OSError as error:
            words = f"{error.filename or deck.shelf.folder}: {error.strerror}"
            if self._troubles.get(deck.name) != words:
                logger.error("%s: nothing is recorded: %s", deck.name, words)
            self._troubles[deck.name] = words
            return False

    @property
    def figures(self) -> dict[str, DeckFigures]:
        return {deck.name: deck.figures for deck in self.decks}

    @property
    def complaints(self) -> tuple[str, ...]:
        """Sentences for health."""
        said = [] if self._missing is None else [f"recorder: {self._missing}"]
        said += [f"{name}: nothing is recorded: {words}" for name, words in list(self._troubles.items())]
        return (*said, *(f"{deck.name}: {deck.trouble}" for deck in self.decks if deck.trouble))
