"""The appliance's own path of a picture - feed, pipeline, worker, document - one picture at a time, to be timed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from types import TracebackType
from typing import Any

from appliance.config_pipeline import Pipeline as PipelineSettings
from appliance.mqtt.topics import Topics
from appliance.pipeline.feed import Feed
from appliance.pipeline.pipeline import Pipeline
from appliance.pipeline.worker import Worker
from appliance.result import Event, Result, to_json
from appliance.uplink.outgoing import Outgoing
from capture.samples import Sample
from capture.source import Source
from engines.bundle import Bundle
from engines.manifest import AudioInput
from engines.model import Model
from scripts.benchmarks.material import Unavailable
from scripts.benchmarks.timing import Turn

TOPICS = Topics("appliance", "bench")


class Lockstep:
    """The feed hands over its next picture, or stretch of sound, when the document of the one before has been encoded.

    The threads are the daemon's: one that captures, one for the model. What the uplink would do besides encoding is
    measured elsewhere. Every sample has to make one document: sound comes in blocks as long as the model's hop.
    """

    def __init__(self, bundle: Bundle, make: Callable[[], Source], threads: int, *, sensor: bool) -> None:
        """`sensor`: pictures come from a camera, whose freshness is watched."""
        settings = PipelineSettings(name="look", source="camera", model="bench")
        self._worker = Worker(
            "bench", lambda: bundle, lambda found: Model(found, threads=threads), ready=threading.Condition()
        )
        hears = isinstance(bundle.manifest.input, AudioInput)
        self._pipeline = Pipeline(settings, TOPICS, self._post, lambda: "synced", self._worker.ready, hears)
        self._worker.pipelines.append(self._pipeline)
        self._feed = Feed("camera", make, [self], stale_after_s=60.0, sensor=sensor)
        self._permits = threading.Semaphore(0)
        self._finished = threading.Semaphore(0)
        self._left = 0
        self._failure: str | None = None
        self._moments_s: list[float] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=body, args=(self._stopping,), daemon=True)
            for body in (self._worker.run, self._feed.run)
        ]
        self.detections = 0
        """In all results."""
        self.results = 0
        self.events = 0
        self.timed = True
        """Whether every result carried its stage times."""

    def __enter__(self) -> Lockstep:
        self._threads[0].start()
        self._worker.settled.wait()
        reason = self._worker.fault or self._pipeline.misfit
        if reason is not None:
            self.__exit__(None, None, None)
            raise Unavailable(reason)
        self._threads[1].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._permits.release()
        self._feed.close()
        self._worker.wake()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(10)

    def turn(self, count: int) -> Turn:
        """`count` documents, one after the other."""
        self._left = count
        self._moments_s = [time.perf_counter()]
        cpu_s = time.process_time()
        self._permits.release()
        if not self._finished.acquire(timeout=60):
            raise Unavailable(f"no document within 60 s: {self._feed.figures(0).reason}; {self._worker.fault}")
        if self._failure is not None:
            raise Unavailable(f"an inference failed: {self._failure}")
        cpu_ms = (time.process_time() - cpu_s) * 1e3 / count
        walls_ms = [(after - before) * 1e3 for before, after in pairwise(self._moments_s)]
        return Turn(walls_ms, cpu_ms)

    def offer(self, sample: Sample) -> None:
        """The feed hands over a picture, and reads the next one when it may."""
        self._permits.acquire()
        if not self._stopping.is_set():
            self._pipeline.offer(sample)

    def _post(self, item: Outgoing) -> None:
        document: Any = item.document
        if isinstance(document, bytes):
            return
        to_json(document)
        self.events += isinstance(document, Event)
        if isinstance(document, Result):
            self.detections += len(document.detections or ())
            self.results += 1
            if document.status != "ok":
                self._failure = document.reason
            self.timed = self.timed and document.latency_ms is not None
            self._next()

    def _next(self) -> None:
        self._moments_s.append(time.perf_counter())
        self._left -= 1
        (self._permits if self._left else self._finished).release()
