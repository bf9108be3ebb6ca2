"""One model looking at, or listening to, one source: from a sample to the documents it causes."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from appliance.config_pipeline import Pipeline as PipelineConfig
from appliance.harvest.basket import Basket, Said
from appliance.mailbox import Mailbox
from appliance.mqtt.topics import Topics
from appliance.pipeline import fit
from appliance.pipeline.compose import Seen, Served, TimedOut, compose
from appliance.pipeline.counts import Counts
from appliance.pipeline.lives import ObjectLives, SoundLives, Step
from appliance.pipeline.memory import Memory, put_back, remembered
from appliance.pipeline.snapshot import jpeg
from appliance.pipeline.tally import Failure, Tally
from appliance.pipeline.tracker import Tracker
from appliance.pipeline.zones import Zone
from appliance.recorder.tape import Tape
from appliance.result import Clock, Event, ModelId, Result, Status, utc
from appliance.uplink.outgoing import Outgoing, Publish, Spool
from capture.motion import MotionGate
from capture.samples import AudioWindow, Frame, Sample
from capture.windows import Windows
from engines.engine import EngineError
from engines.manifest import AudioInput, Manifest
from engines.predictions import Answer, Detection

logger = logging.getLogger(__name__)

QUEUE = 64
"""Samples that an `every` pipeline, or a pipeline of sound, may be behind before the oldest is dropped."""

Show: TypeAlias = "Callable[[Result, Sample | None], None]"
"""Where results go beside the uplink: the sample is None where its pixels are gone."""

FAILED_EVERY_S = 1.0
"""A pipeline without an engine says so this often, not for every picture; one that has a deadline says it by then."""


@dataclass(slots=True)
class Settings:
    """What commands may change until the configuration is loaded again."""

    enabled: bool
    threshold: float | None
    snapshot: bool


class Pipeline:
    """`offer` is called by the capture thread, `answered` and `unanswered` by the model thread."""

    def __init__(
        self,
        settings: PipelineConfig,
        topics: Topics,
        post: Callable[[Outgoing], None],
        clock: Callable[[], Clock],
        ready: threading.Condition,
        hears: bool = False,
        show: Show | None = None,
        tape: Tape | None = None,
        told: Callable[[Event, float], None] | None = None,
        basket: Basket | None = None,
    ) -> None:
        """`post` hands documents to the uplink; `ready` is the condition its model thread waits on; `hears`: its source
        is a microphone; `show` is told every result together with its sample, and never blocks; `tape` is given what a
        recording is made of; `told` every event with its time in seconds (monotonic), and never blocks; `basket` is
        given what a model could learn from."""
        self.config = settings
        self.name = settings.name
        self.settings = Settings(settings.enabled, settings.threshold, settings.snapshot)
        self.mailbox: Mailbox[Sample] = Mailbox(QUEUE if settings.every else 1, ready)
        self.outcomes: Counter[Status] = Counter()
        self.tally = Tally()
        self.counts = Counts(topics, settings.name, named=settings.labels or ())
        self.served_ns = 0
        """When it was last given the engine; the worker serves the longest-waiting pipeline first."""
        self.last_latency_ms: float | None = None
        self.last_frame: Frame | None = None
        self.last_reason = "waiting for the first sample"
        self.misfit: str | None = None
        """Why its model can never answer its source; known once the model is."""
        self._hears = hears
        self._show = show
        self._tape = tape
        self._told = told
        self._basket = basket
        self._unknown_labels: str | None = None
        self._zones_outside: str | None = None
        self._picture_size: tuple[int, int] | None = None
        self._model = ModelId("", "", "")
        self._topics = topics
        self._post = post
        self._clock = clock
        self._ready = ready
        self._gate = MotionGate(settings.motion.threshold, settings.motion.hold_s) if settings.motion else None
        self._tracker = Tracker(settings.confirm, settings.forget_s)
        self._zones = [Zone(zone.name, tuple(zone.polygon)) for zone in settings.zones]
        self._objects = ObjectLives(self._zones, settings.update_s)
        self._sounds = SoundLives(1, settings.forget_s, settings.update_s)
        self._labels: tuple[str, ...] = ()
        self._windows: Windows | None = None
        asks = settings.remote is not None and settings.remote.asks
        self._failed_every_s = 0.0 if asks else FAILED_EVERY_S
        self._offered_ns = 0
        self._failed_ns = 0

    # -- capture thread -------------------------------------------------------------------------------------------

    def offer(self, sample: Sample) -> None:
        """Take a sample from the source, or leave it: disabled, no movement, over the rate asked for."""
        if not self.settings.enabled:
            return
        if self.misfit is not None:
            now_ns = time.monotonic_ns()
            self.unanswered(sample, EngineError(self.misfit), Served(now_ns, now_ns, "none", self._model, self.misfit))
            return
        if isinstance(sample, AudioWindow):
            windows = self._windows
            for window in windows.push(sample) if windows else []:
                self.mailbox.put(window)
            return
        if self.config.max_per_s is not None:
            if sample.stamp.mono_ns - self._offered_ns < 1e9 / self.config.max_per_s:
                return
            self._offered_ns = sample.stamp.mono_ns
        if self._gate is not None and not self._gate.moved(sample):
            return
        self.mailbox.put(sample)

    # -- model thread ---------------------------------------------------------------------------------------------

    def serve_with(self, manifest: Manifest) -> None:
        """A model is ready: see that it suits, cut sound into its windows, keep every one of them in order."""
        self._model = ModelId(manifest.name, manifest.version, manifest.digest)
        self._labels = manifest.labels if self.config.events else ()
        self._unknown_labels = fit.unknown_labels(self.config, manifest)
        self.misfit = fit.misfit(self.config, self._hears, manifest)
        if self.misfit is not None:
            logger.error("%s: %s", self.name, self.misfit)
            self.mailbox.take_all(0)
            return
        if not isinstance(manifest.input, AudioInput):
            return
        if manifest.decoder.name == "keywords":
            self._sounds.forget_s = 0.0  # the decoder says when a word is over; waiting would join it to the next
        if not self.config.every:
            self.mailbox = Mailbox(QUEUE, self._ready)
        self._windows = Windows(manifest.input.samples, fit.hop(self.config, manifest.input))

    def answered(self, sample: Sample, answer: Answer, served: Served, before: Said | None = None) -> None:
        """A valid answer: publish it, follow what it shows. `before`: what the local engine had said, where this is a
        second opinion."""
        if self._basket is not None and (before is not None or served.model == self._model):
            said = Said(served.answered_by, served.model, answer)
            self._basket.answered(sample, before or said, None if before is None else said)
        steps: list[Step] = []
        memory = None
        if self._tape is not None and self._tape.wants_memory(sample.stamp.mono_ns):
            memory = self.memory
        if self.config.events and answer.task == "detect":
            answer, steps = self._follow(answer, sample)
        result = self._result(sample, served, answer)
        if self.config.events and isinstance(sample, AudioWindow):
            steps = self._sounds.steps(result.labels or (), sample.stamp.mono_ns / 1e9, result.captured_at)
        if result.latency_ms is not None:
            self.last_latency_ms = result.latency_ms.total
            self.tally.answer(result.answered_by, result.latency_ms)
        self._publish(result, sample)
        events = self._tell(steps, sample, served)
        if self._tape is not None:
            self._tape.saw(sample, result, events, self.settings.threshold, memory)

    @property
    def memory(self) -> Memory:
        """What it remembers of the samples before; of the thread that answers. To be put back in a replay."""
        return remembered(self._tracker, self._objects, self._sounds)

    @memory.setter
    def memory(self, memory: Memory) -> None:
        put_back(memory, self._tracker, self._objects, self._sounds)

    def unanswered(self, sample: Sample, error: EngineError, served: Served) -> None:
        """No answer: say so. Nothing is counted, nothing ends."""
        self.tally.failures[self._failure(error, served)] += 1
        now_ns = time.monotonic_ns()
        if served.engine == "none" and now_ns - self._failed_ns < self._failed_every_s * 1e9:
            self.outcomes["failed"] += 1
            return
        self._failed_ns = now_ns
        result = self._result(sample, served, error)
        self._publish(result, sample)
        if self._tape is not None:
            self._tape.saw(sample, result, (), self.settings.threshold, None)

    def _failure(self, error: EngineError, served: Served) -> Failure:
        if self.misfit is not None:
            return "misfit"
        if isinstance(error, TimedOut):
            return "timeout"
        if served.engine != "none":
            return "engine error"
        return "nobody in time" if self._failed_every_s == 0 else "no engine"

    def answered_late(self, seen: Seen, answer: Answer, served: Served) -> None:
        """A valid answer to a sample that was said to have failed: it is published, and changes nothing else."""
        self._publish(compose(self._topics.device, self.name, seen, answer, served, self._clock()))

    def _result(self, sample: Sample, served: Served, answer: Answer | EngineError) -> Result:
        if isinstance(sample, Frame):
            self.last_frame = sample
            self._look_for_zones(sample)
        result = compose(self._topics.device, self.name, sample, answer, served, self._clock())
        self.last_reason = result.reason
        return result

    def _look_for_zones(self, frame: Frame) -> None:
        height, width = frame.pixels.shape[:2]
        if (width, height) == self._picture_size:
            return
        self._picture_size = (width, height)
        outside = [zone.name for zone in self._zones if not zone.touches(width, height)]
        words = f"zones outside the picture of {width}x{height}: {', '.join(outside)}: draw them for this size"
        self._zones_outside = words if outside else None

    @property
    def labels(self) -> tuple[str, ...]:
        """All that its model can say; empty before it is open, and without events. Any thread."""
        return self._labels

    @property
    def complaints(self) -> tuple[str, ...]:
        """What its table asks for and cannot get, although it answers. Any thread."""
        return tuple(words for words in (self._unknown_labels, self._zones_outside) if words)

    def _follow(self, answer: Answer, sample: Sample) -> tuple[Answer, list[Step]]:
        """The answer with its objects numbered, and what that means for their lives."""
        now_s = sample.stamp.mono_ns / 1e9
        detections = [each for each in answer.predictions if isinstance(each, Detection)]
        numbered, ended = self._tracker.update(detections, now_s)
        steps = self._objects.steps(self._tracker.believed, ended, now_s, utc(sample.stamp.unix_ns))
        return Answer(answer.task, tuple(numbered), answer.times), steps

    def _publish(self, result: Result, sample: Sample | None = None) -> None:
        self.outcomes[result.status] += 1
        if self._show is not None:
            self._show(result, sample)
        if self.config.results == "off":
            return
        topic = self._topics.result(self.name)
        if self.config.results == "spooled":
            self._post(Spool(topic, result, stream=f"{self.name}-results", priority=0))
        else:
            self._post(Publish(topic, result))

    def _tell(self, steps: Sequence[Step], sample: Sample, served: Served) -> list[Event]:
        """Publish events, what changed in the counts, and a picture of what is new; returns the events."""
        events = []
        for step in steps:
            event = Event(
                id=step.id,
                event=step.event,
                device=self._topics.device,
                pipeline=self.name,
                source=sample.source,
                seq=sample.seq,
                at=utc(sample.stamp.unix_ns),
                clock=self._clock(),
                model=served.model,
                reason=step.reason,
                before=step.before,
                after=step.after,
                track=step.track,
                seconds=round(step.seconds, 3),
            )
            events.append(event)
            if self._told is not None:
                self._told(event, sample.stamp.mono_ns / 1e9)
            self._post(Spool(self._topics.event(self.name), event, stream=self.name))
        if not steps and not self.counts.due:
            return events  # no count changes without a step
        for news in self.counts.news(self._objects.counts() + self._sounds.counts(), self._labels):
            self._post(news)
        if self.settings.snapshot and isinstance(sample, Frame) and any(step.event == "new" for step in steps):
            self._post(Publish(self._topics.snapshot(self.name), jpeg(sample.pixels), retain=True))
        return events
