"""The thread `harvest`: keeps samples that a model should learn from, and sends them where they may go."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from appliance.harvest.basket import Said
from appliance.harvest.picker import Picker, PickerFigures
from appliance.harvest.sender import Sender, SenderFigures
from appliance.pipeline.audience import Heard
from appliance.result import Clock, ModelId
from engines.engine import EngineError
from engines.predictions import Answer

logger = logging.getLogger(__name__)

LOOKS_EVERY_S = 0.2
"""For samples: being woken for each would cost those who bring them."""
LOOK_EVERY_S = 60.0
"""At the folders: a person may take samples out of them."""
EXPIRE_EVERY_S = 600.0
ENOUGH_BYTES = 4 << 20
"""So much room, and a disk is not called full any more."""


@dataclass(frozen=True, slots=True)
class HarvestFigures:
    """What health says of the harvest."""

    pipelines: dict[str, PickerFigures]
    """Those that keep samples."""
    sending: SenderFigures | None = None
    """Absent where no sample may leave the device by itself."""


class Harvester:
    """`run` is the body of the thread; `figures` and `complaints` are for any."""

    def __init__(self, pickers: Sequence[Picker], clock: Callable[[], Clock], sender: Sender | None = None) -> None:
        """`sender`: where samples of a pipeline may leave the device."""
        self.pickers = {picker.name: picker for picker in pickers}
        self.sender = sender
        self._clock = clock
        self._ready: set[str] = set()
        """Pipelines whose folder is in order."""
        self._looked_s = self._expired_s = float("-inf")

    def run(self, stopping: threading.Event) -> None:
        """Until `stopping`."""
        try:
            while not stopping.is_set():
                self.turn(time.monotonic())
                if self.sender is None:
                    stopping.wait(LOOKS_EVERY_S)
                else:
                    self.sender.wait(LOOKS_EVERY_S)
        finally:
            if self.sender is not None:
                self.sender.finish()

    def turn(self, now_s: float) -> None:
        """Keep what came, send what may go, now and then look after what there is."""
        looks = now_s - self._looked_s > LOOK_EVERY_S
        if looks:
            self._looked_s = now_s
        for picker in self.pickers.values():
            self._tried(picker, partial(self._turn, picker, now_s, looks))
        if self._clock() == "synced" and now_s - self._expired_s > EXPIRE_EVERY_S:
            self._expired_s = now_s
            for picker in self._at_work:
                self._tried(picker, picker.store.expire)
        if self.sender is not None:
            self.sender.turn(now_s, {picker.name: picker.store for picker in self._at_work})

    @property
    def _at_work(self) -> list[Picker]:
        return [picker for name, picker in self.pickers.items() if name in self._ready]

    def _turn(self, picker: Picker, now_s: float, looks: bool) -> None:
        if picker.name not in self._ready:
            if not looks:
                return
            picker.store.prepare()
            picker.trouble = None
            self._ready.add(picker.name)
        elif looks:
            picker.store.look()
            if picker.store.free > ENOUGH_BYTES:
                picker.trouble = None  # what else it was is said again with the next sample
        kept = picker.figures.kept
        picker.turn(now_s, time.time())
        picker.count()
        if picker.figures.kept > kept and picker.trouble is not None:
            logger.info("%s: samples are kept again", picker.name)
            picker.trouble = None
            picker.count()

    def _tried(self, picker: Picker, act: Callable[[], object]) -> None:
        """A disk may fail at any moment: then that is said, samples are lost, and the rest goes on."""
        try:
            act()
        except OSError as error:
            words = f"no sample is kept: {error.filename or picker.store.folder}: {error.strerror}"
            if picker.trouble != words:
                logger.error("%s: %s", picker.name, words)
            picker.trouble = words
            picker.count()
            if isinstance(error, FileNotFoundError):  # somebody took the whole folder
                self._ready.discard(picker.name)
                self._looked_s = float("-inf")

    def differed(self, heard: Heard, active: ModelId, shadow: ModelId, answer: Answer) -> None:
        """A version in shadow says something else of what was heard than the active one. Any thread."""
        picker = self.pickers.get(heard.pipeline)
        if picker is not None and not isinstance(heard.answer, EngineError) and heard.digest == active.digest:
            said, other = Said("local", active, heard.answer), Said("shadow", shadow, answer)
            picker.basket.answered(heard.sample, said, other)

    @property
    def figures(self) -> HarvestFigures:
        pipelines = {name: picker.figures for name, picker in self.pickers.items()}
        return HarvestFigures(pipelines, None if self.sender is None else self.sender.figures)

    @property
    def complaints(self) -> tuple[str, ...]:
        """Sentences for health."""
        return tuple(f"{name}: {picker.trouble}" for name, picker in self.pickers.items() if picker.trouble)
