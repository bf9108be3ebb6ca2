"""Keeps one source delivering: opens it, hands its samples to the pipelines, opens it again after trouble."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from appliance.backoff import Backoff
from capture.freshness import Freshness
from capture.samples import Frame, Sample
from capture.source import CaptureError, Source

logger = logging.getLogger(__name__)

Availability: TypeAlias = Literal["online", "stale", "offline", "disabled"]

REOPEN_FIRST_S = 0.5
REOPEN_MOST_S = 2.0
"""A camera that comes back is seen within seconds; one try costs little."""

FROZEN_REOPEN = 3
"""A picture frozen for this many times `stale_after_s` has the camera opened again."""

NOT_OPENED = "not opened yet"

HUNG_AFTER_S = 15.0
"""Without a sign from the capture thread it hangs below Python. Longer than every time-out of the sources."""


class Taker(Protocol):
    """Who takes samples: a pipeline."""

    def offer(self, sample: Sample) -> None: ...


@dataclass(frozen=True, slots=True)
class FeedFigures:
    """What health says of a source."""

    status: Availability
    reason: str
    description: str
    """What was negotiated with the device, in words."""
    samples: int
    reopened: int
    abandoned: int
    """Capture threads that hung below Python and were left behind."""
    age_s: float | None = None
    """Age of the newest content; absent before the first."""


class Feed:
    """The life of one source. `run` is the body of its capture thread; the rest is called by the main thread."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Source],
        takers: Sequence[Taker],
        stale_after_s: float,
        sensor: bool,
        enabled: bool = True,
    ) -> None:
        """`make` gives the source unopened (ValueError or CaptureError when it cannot); `sensor`: content that never
        changes is a fault."""
        self.name = name
        self.enabled = enabled
        self.abandoned = 0
        self._make = make
        self._takers = takers
        self._stale_after_s = stale_after_s
        self._sensor = sensor
        self._freshness = Freshness(stale_after_s)
        self._pictures = False
        """Whether the content's own age counts: pictures of a sensor were seen."""
        self._generation = 0
        self._hanging: set[int] = set()
        """Generations that were left behind, and whose thread has not come back."""
        self._open: Source | None = None
        self._description = ""
        self._reason = NOT_OPENED
        self._delivering = False
        self._finished = False
        self._samples = 0
        self._opened = 0
        self._newest_ns: int | None = None
        self._sign_ns = time.monotonic_ns()

    def run(self, stopping: threading.Event) -> None:
        """Body of a capture thread: until `stopping`, or until a newer thread has taken over."""
        generation = self._generation
        try:
            self._keep_reading(stopping, generation)
        finally:
            self._hanging.discard(generation)

    def _keep_reading(self, stopping: threading.Event, generation: int) -> None:
        backoff = Backoff(REOPEN_FIRST_S, REOPEN_MOST_S)
        while not stopping.is_set() and generation == self._generation and not self._finished:
            self._sign_ns = time.monotonic_ns()
            if not self.enabled:
                stopping.wait(0.1)
                continue
            try:
                self._read(stopping, generation, backoff)
            except (CaptureError, ValueError) as error:
                if generation != self._generation:
                    return
                self._delivering = False
                if self._reason != str(error):
                    logger.warning("%s: %s", self.name, error)
                self._reason = str(error)
                self._wait(stopping, backoff.next_s(), generation)

    def _read(self, stopping: threading.Event, generation: int, backoff: Backoff) -> None:
        source = self._make()
        with source:
            self._open = source
            self._opened += 1
            self._description = source.description
            told = False
            for sample in source:
                if stopping.is_set() or generation != self._generation or not self.enabled:
                    return
                self._deliver(sample)
                if not told:
                    logger.info("%s: opened, %s", self.name, self._description)
                    told = True
                backoff.reset()
        if generation == self._generation and not stopping.is_set() and self.enabled:
            self._finished, self._delivering = True, False
            self._reason = "finished: the recording has ended (loop = true starts it again)"
            logger.info("%s: %s", self.name, self._reason)

    def _deliver(self, sample: Sample) -> None:
        """Hand on what is new. A frozen picture is no evidence: pipelines do not get it, and the device is reopened."""
        self._sign_ns = time.monotonic_ns()
        self._samples += 1
        self._newest_ns = sample.ready_ns
        self._delivering = True
        if self._sensor and isinstance(sample, Frame):
            self._pictures = True
            self._freshness.seen(sample)
            if self._freshness.stale(sample.ready_ns):
                if self._freshness.age_s(sample.ready_ns) > FROZEN_REOPEN * self._stale_after_s:
                    raise CaptureError("the picture is frozen; opening the camera again")
                return
        for taker in self._takers:
            taker.offer(sample)

    def _wait(self, stopping: threading.Event, seconds: float, generation: int) -> None:
        until_ns = time.monotonic_ns() + int(seconds * 1e9)
        while time.monotonic_ns() < until_ns and generation == self._generation and not stopping.wait(0.1):
            self._sign_ns = time.monotonic_ns()

    # -- main thread ----------------------------------------------------------------------------------------------

    def status(self, now_ns: int) -> Availability:
        """Judged by the age of the content, so that a hung read or a frozen picture shows."""
        if not self.enabled:
            return "disabled"
        if not self._delivering:
            return "offline"
        age_s = self.age_s(now_ns)
        return "stale" if age_s is not None and age_s > self._stale_after_s else "online"

    def age_s(self, now_ns: int) -> float | None:
        """Age of the newest content; None before the first sample."""
        if self._newest_ns is None:
            return None
        age_s = (now_ns - self._newest_ns) / 1e9
        return max(age_s, self._freshness.age_s(now_ns)) if self._pictures else age_s

    def figures(self, now_ns: int) -> FeedFigures:
        status = self.status(now_ns)
        reason = {
            "online": "delivering",
            "stale": f"no new content for more than {self._stale_after_s:g} s",
            "offline": self._reason,
            "disabled": "disabled",
        }[status]
        age_s = self.age_s(now_ns)
        return FeedFigures(
            status=status,
            reason=reason,
            description=self._description,
            samples=self._samples,
            reopened=max(0, self._opened - 1),
            age_s=None if age_s is None else round(age_s, 3),
            abandoned=self.abandoned,
        )

    @property
    def tried(self) -> bool:
        """It has delivered, or there was a reason why not: before that its status says nothing yet."""
        return self._delivering or self._reason != NOT_OPENED

    @property
    def finished(self) -> bool:
        """A recording that does not loop has ended."""
        return self._finished

    def hung(self, now_ns: int) -> bool:
        """No sign from the capture thread for HUNG_AFTER_S."""
        return not self._finished and now_ns - self._sign_ns > HUNG_AFTER_S * 1e9

    @property
    def hanging(self) -> int:
        """Capture threads that were left behind and have not come back."""
        return len(self._hanging)

    def abandon(self) -> None:
        """Leave the present capture thread behind: whatever it still delivers is ignored. Start a new one after."""
        self._hanging.add(self._generation)
        self._generation += 1
        self.abandoned += 1
        self._delivering = False
        self._reason = f"the capture thread hung for more than {HUNG_AFTER_S:.0f} s and was replaced"
        self._sign_ns = time.monotonic_ns()
        logger.error("%s: %s", self.name, self._reason)

    def close(self) -> None:
        """Wake a read or a pause so that `run` sees `stopping` soon. Callable from any thread."""
        source = self._open
        if source is not None:
            source.close()
