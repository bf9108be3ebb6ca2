"""The harvest of one pipeline: of what its basket offers, some is kept, as much as it may and redacted as it must."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from appliance.config_pipeline import Pipeline
from appliance.harvest.basket import Basket, Candidate, Said
from appliance.harvest.sample import Harvested, Opinion
from appliance.harvest.store import NoRoom, Store
from appliance.pipeline.compose import Seen
from appliance.remote.pictures import Viewer
from appliance.remote.privacy import Withheld
from appliance.remote.view import View
from appliance.result import Clock, FrameSize, utc
from capture.samples import AudioWindow, Frame
from engines.digest import of_bytes

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PickerFigures:
    """What health says of the harvest of one pipeline."""

    kept: int
    """Since the start."""
    passed_over: int
    """There was a reason to keep them: too close to another, over the budget, or nothing in them may be shown."""
    lost: int
    """Samples that the disk did not take."""
    waiting: int
    """On disk now."""
    bytes: int
    spent_bytes: int
    """Of the day's budget."""
    budget_bytes: int
    """Of a day."""
    trouble: str | None = None
    """Why nothing is kept just now."""


class Picker:
    """Of the thread `harvest`; only `figures` is for any."""

    def __init__(
        self,
        settings: Pipeline,
        device: str,
        basket: Basket,
        store: Store,
        viewer: Viewer,
        clock: Callable[[], Clock],
    ) -> None:
        """`viewer`: with the masks of the camera, decides which part of a picture is kept."""
        harvest = settings.harvest
        assert harvest is not None, "a pipeline with a table `harvest`"
        self.name = settings.name
        self.basket = basket
        self.store = store
        self.figures = PickerFigures(0, 0, 0, 0, 0, 0, store.bounds.bytes_per_day)
        self.trouble: str | None = None
        self._device = device
        self._viewer = viewer
        self._clock = clock
        self._apart_s = harvest.apart_s
        self._next_s = 0.0
        self._kept = self._passed_over = self._lost = 0

    def turn(self, now_s: float, unix_s: float) -> None:
        """Keep what came, if it may be. Raises OSError when the disk does not take it: the sample is lost."""
        if now_s < self._next_s:
            return
        candidate, others = self.basket.take()
        self._passed_over += others
        if candidate is None:
            return
        self._next_s = now_s + self._apart_s
        try:
            self._keep(candidate, unix_s)
        except (NoRoom, Withheld) as reason:
            self._passed_over += 1
            logger.debug("%s: a sample is not kept: %s", self.name, reason)
        except OSError:
            self._lost += 1
            raise

    def count(self) -> None:
        """See what is on disk, and say how it is."""
        self.figures = PickerFigures(
            kept=self._kept,
            passed_over=self._passed_over,
            lost=self._lost,
            waiting=len(self.store),
            bytes=self.store.size,
            spent_bytes=self.store.books.of_day(time.time()).bytes,
            budget_bytes=self.store.bounds.bytes_per_day,
            trouble=self.trouble,
        )

    def _keep(self, candidate: Candidate, unix_s: float) -> None:
        """Raises NoRoom, Withheld, OSError."""
        sample = candidate.sample
        if isinstance(sample, AudioWindow):
            self._write(candidate, None, wave(sample), unix_s)
        else:
            view = self._view(sample, candidate)
            self._write(candidate, view, self._viewer.encode(sample, view), unix_s)
        self._kept += 1

    def _write(self, candidate: Candidate, view: View | None, data: bytes, unix_s: float) -> None:
        """`view`: what `data` shows of a picture. Raises NoRoom, OSError."""
        series, name = self.store.begin(len(data), unix_s)
        sample, seen = candidate.sample, Seen.of(candidate.sample)
        about = Harvested(
            name=name,
            series=series,
            device=self._device,
            pipeline=self.name,
            source=seen.source,
            seq=seen.seq,
            captured_at=utc(seen.stamp.unix_ns),
            clock=self._clock(),
            reason=candidate.reason,
            why=candidate.why,
            kind="jpg" if isinstance(sample, Frame) else "wav",
            digest=of_bytes(data),
            said=_opinion(candidate.said, view),
            other=None if candidate.other is None else _opinion(candidate.other, view),
            frame=None if view is None else FrameSize(view.width, view.height),
            window=seen.window,
            part=None if view is None or seen.frame == FrameSize(view.width, view.height) else (view.left, view.top),
        )
        self.store.add(about, data)

    def _view(self, frame: Frame, candidate: Candidate) -> View:
        """Raises Withheld when nothing of it may be shown."""
        said = [candidate.said, *([] if candidate.other is None else [candidate.other])]
        self._viewer.found(frame, [each for one in said for each in one.answer.predictions])
        return self._viewer.view(frame)


def _opinion(said: Said, view: View | None) -> Opinion:
    """In pixels of the kept picture."""
    if view is None:
        return Opinion.of(said.by, said.model, said.answer)
    return Opinion.of(said.by, said.model, replace(view, left=-view.left, top=-view.top).back(said.answer))


def wave(window: AudioWindow) -> bytes:
    """A WAV file of this window, every sample as it was: 32-bit float."""
    import soundfile  # type: ignore[import-untyped]  # it has no types

    file = io.BytesIO()
    soundfile.write(file, window.samples, window.rate_hz, format="WAV", subtype="FLOAT")
    return file.getvalue()
