"""One thread per loaded model: takes what waits in its pipelines, runs the model, hands the answers back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from appliance.backoff import Backoff
from appliance.pipeline.audience import Audience, Heard
from appliance.pipeline.compose import Served, TimedOut
from appliance.pipeline.lane import Lane
from appliance.result import ModelId
from appliance.router import Engine as EngineState
from capture.samples import AudioWindow, Sample
from engines.bundle import Bundle
from engines.choose import NoEngine, Refusal
from engines.engine import EngineError
from engines.tensorrt.engine import PlanNeeded

if TYPE_CHECKING:
    from engines.model import Model
    from engines.stream import Stream

logger = logging.getLogger(__name__)

IDLE_S = 0.25
FAILURES_TO_REOPEN = 3
"""So many failed runs in a row, and the model is closed and opened again."""
WARM_UP_S = 20.0
"""The first inference of a model, which also sets up its memory. Three times this is a hang."""
LOADING = "its model is being loaded"
RETRY_FIRST_S, RETRY_MOST_S = 1.0, 30.0


class Worker:
    """`run` is the body of the thread `model <name>`; the rest is called by the main thread."""

    def __init__(
        self,
        name: str,
        find: Callable[[], Bundle],
        open_model: Callable[[Bundle], Model],
        ready: threading.Condition,
        max_batch: int | None = None,
        elsewhere: Callable[[], tuple[str | None, str]] | None = None,
    ) -> None:
        """`find` and `open_model` raise EngineError when the model cannot be had. `elsewhere`: the service that ran the
        last stage of the newest sample, if one did, and why it was that side."""
        self.name = name
        self.ready = ready
        """Condition that the mailboxes of its pipelines share."""
        self.pipelines: list[Lane] = []
        self.settled = threading.Event()
        """Set when the model has made its first inference, or is known not to work for now."""
        self.fault: str | None = LOADING
        self.engine = "none"
        self.refusals: tuple[str, ...] = ()
        self.manifest_id: ModelId = ModelId(name, "", "")
        self.inferences = 0
        self.needed: tuple[PlanNeeded, ...] = ()
        """Plans that would let it run where it would rather run."""
        self.audience: Audience | None = None
        """Hears every sample with its answer."""
        self._next_ready = threading.Event()
        """Set when a successor has opened its model and waits for this thread to leave."""
        self._left = threading.Event()
        """Set when the thread that served has left, between two samples."""
        self._streams: dict[str, Stream] = {}
        self._find = find
        self._open_model = open_model
        self._max_batch = max_batch
        self._elsewhere = elsewhere
        self._model: Model | None = None
        self._busy_since_ns: int | None = None
        self._timed_out = False
        self._warming = False
        self._unopened = False
        """The last fault came before there was a model to run: no bundle, or no back end for it."""

    @property
    def state(self) -> EngineState:
        """How its engine is, in a word. Any thread."""
        if self.engine != "none":
            return "ready"
        if self.fault == LOADING:
            return "loading"
        if self.needed:
            return "building"
        return "missing" if self._unopened else "broken"

    def run(self, stopping: threading.Event) -> None:
        """Body of the thread."""
        backoff = Backoff(RETRY_FIRST_S, RETRY_MOST_S)
        while self._await_use(stopping):
            relieved = False
            try:
                bundle = self._find()
                with self._open_model(bundle) as model:
                    self._opened(bundle, model)
                    self._streams = self._new_streams(model)
                    self._serve(model, stopping, backoff)
                    self._rest()
                    relieved = self._makes_room()
            except EngineError as error:
                if relieved:
                    self._not_closed(error)
                    return
                self._failed(error)
                self._rest()
                self._refuse_for(backoff.next_s(), error, stopping)
            if relieved:
                return
        self._makes_room()

    def take_over(self, stopping: threading.Event) -> None:
        """Body of the thread that goes on with the model opened anew, while the one before still answers: the next
        sample after the last of the old thread is the first of this one. Returns at once when the model cannot be
        opened, or is the same one on the same engine as before; then nothing has changed.
        """
        took_over = relieved = False
        try:
            bundle = self._find()
            with self._open_model(bundle) as model:
                model.warm_up()
                if model.engine_name == self.engine and bundle.manifest.digest == self.manifest_id.digest:
                    refused = "; ".join(map(str, model.refusals)) or f"it is on {self.engine} already"
                    raise EngineError(f"nothing to take over: {refused}")
                if not self._relieve(stopping):
                    return
                took_over = True
                same = bundle.manifest.digest == self.manifest_id.digest and self._streams
                self._began(bundle, model)
                self._streams = self._streams if same else self._new_streams(model)
                self._serve(model, stopping, Backoff(RETRY_FIRST_S, RETRY_MOST_S))
                self._rest()
                relieved = self._makes_room()
        except EngineError as error:
            if relieved:
                self._not_closed(error)
                return
            if not took_over:
                logger.warning("%s: stays on %s: %s", self.name, self.engine, error)
                return
            self._failed(error)
            self._rest()
        if not relieved:
            self.run(stopping)

    def _relieve(self, stopping: threading.Event) -> bool:
        """Ask the thread that serves to leave, and wait for it; false when everything stops first."""
        self._left.clear()
        self._next_ready.set()
        try:
            while not self._left.wait(0.01):
                self.wake()
                if stopping.is_set():
                    return False
        finally:
            self._next_ready.clear()
        return True

    def _makes_room(self) -> bool:
        """For a successor, if one waits: before the model is closed, which may take longer than the next picture."""
        waits = self._next_ready.is_set()
        if waits:
            self._left.set()
        return waits

    @property
    def relieved(self) -> bool:
        """Whether the thread that served has made room for its successor."""
        return self._left.is_set()

    def _leaves(self, stopping: threading.Event) -> bool:
        return stopping.is_set() or self._next_ready.is_set()

    def _rest(self) -> None:
        """No model runs on this thread any more."""
        self._model, self._busy_since_ns, self._warming = None, None, False

    def _not_closed(self, error: EngineError) -> None:
        """What the model that made room had left to say: its successor is not to be touched any more."""
        logger.warning("%s: the model before could not be closed: %s", self.name, error)

    def _failed(self, error: EngineError) -> None:
        self._busy_since_ns = None
        if self.fault != str(error):
            logger.error("%s: %s", self.name, error)
        self.fault, self.engine = str(error), "none"
        self._unopened = self._model is None
        if isinstance(error, NoEngine):
            self._remember(error.refusals)
        self.settled.set()

    def _await_use(self, stopping: threading.Event) -> bool:
        """A model that only disabled pipelines name is not loaded until a command enables one. False: to leave."""

        def wanted() -> bool:
            return self._leaves(stopping) or any(pipeline.settings.enabled for pipeline in self.pipelines)

        if not wanted():
            self.fault = "not loaded: its pipelines are disabled"
            self.settled.set()
            with self.ready:
                while not wanted():
                    self.ready.wait(IDLE_S)
            self.fault = LOADING
        return not self._leaves(stopping)

    def _opened(self, bundle: Bundle, model: Model) -> None:
        self._model = model
        self._warming = True
        self._busy_since_ns = time.monotonic_ns()
        model.warm_up()
        self._warming, self._busy_since_ns = False, None
        self._began(bundle, model)

    def _began(self, bundle: Bundle, model: Model) -> None:
        manifest = bundle.manifest
        self.manifest_id = ModelId(manifest.name, manifest.version, manifest.digest)
        self._model = model
        self.engine, self.fault = model.engine_name, None
        self._remember(model.refusals)
        for pipeline in self.pipelines:
            pipeline.serve_with(manifest)
        logger.info("%s: ready on %s", self.name, self.engine)
        self.settled.set()

    def _remember(self, refusals: Sequence[Refusal]) -> None:
        self.refusals = tuple(str(refusal) for refusal in refusals)
        self.needed = tuple(each.error for each in refusals if isinstance(each.error, PlanNeeded))

    def _new_streams(self, model: Model) -> dict[str, Stream]:
        return {pipeline.name: model.new_stream() for pipeline in self.pipelines}

    def _serve(self, model: Model, stopping: threading.Event, backoff: Backoff) -> None:
        most = self._batch(model)
        failures = 0
        while not self._leaves(stopping):
            batch = self._take(most, IDLE_S)
            if not batch:
                continue
            failure = self._answer(model, batch, self._streams)
            if failure is None:
                failures = 0
                backoff.reset()
                continue
            failures += 1
            if failures >= FAILURES_TO_REOPEN:
                raise EngineError(f"{failures} inferences in a row failed, the model is opened again: {failure}")

    def _batch(self, model: Model) -> int:
        """On a processor a batch takes as long as its samples one by one, and the first waits for the last."""
        wanted = self._max_batch or (1 if model.engine_name == "onnxruntime" else len(self.pipelines))
        return min(wanted, model.batch_limit or wanted)

    def _take(self, most: int, timeout_s: float) -> list[tuple[Lane, Sample]]:
        """One sample of each of at most `most` pipelines: those that waited longest for the engine."""
        with self.ready:
            self.ready.wait_for(
                lambda: self._next_ready.is_set() or any(len(pipeline.mailbox) for pipeline in self.pipelines),
                timeout_s,
            )
            if self._next_ready.is_set():
                return []  # what waits is the successor's
            waiting = sorted((p for p in self.pipelines if len(p.mailbox)), key=lambda p: p.served_ns)[:most]
        taken = []
        for pipeline in waiting:
            sample = pipeline.mailbox.take(0)
            if sample is not None:
                pipeline.served_ns = time.monotonic_ns()
                taken.append((pipeline, sample))
        return taken

    def _answer(
        self, model: Model, batch: Sequence[tuple[Lane, Sample]], streams: dict[str, Stream]
    ) -> EngineError | None:
        """Run once and hand out the answers; when none was valid, why."""
        taken_ns = time.monotonic_ns()
        for pipeline, sample in batch:
            if isinstance(sample, AudioWindow):
                streams[pipeline.name].seek(sample.start)
        self._timed_out = False
        self._busy_since_ns = taken_ns
        answers = model.predict(
            [sample.samples if isinstance(sample, AudioWindow) else sample.pixels for _, sample in batch],
            streams=[streams[pipeline.name] for pipeline, _ in batch],
            thresholds=[pipeline.settings.threshold for pipeline, _ in batch],
            labels=[pipeline.config.labels or None for pipeline, _ in batch],
        )
        self._busy_since_ns = None
        self.inferences += 1
        served = Served(taken_ns, time.monotonic_ns(), self.engine, self.manifest_id, "local engine healthy")
        if self._elsewhere is not None:
            service, reason = self._elsewhere()
            served = replace(served, answered_by=f"remote:{service}" if service else "local", reason=reason)
        failures = []
        audience = self.audience
        for (pipeline, sample), answer in zip(batch, answers, strict=True):
            if audience is not None:
                threshold, labels = pipeline.settings.threshold, pipeline.config.labels or None
                audience.hear(Heard(pipeline.name, sample, answer, self.manifest_id.digest, threshold, labels))
            if isinstance(answer, EngineError):
                failures.append(self._in_words(answer, pipeline))
                pipeline.unanswered(sample, failures[-1], served)
            else:
                pipeline.answered(sample, answer, served)
        return failures[-1] if len(failures) == len(batch) else None

    def _in_words(self, error: EngineError, pipeline: Lane) -> EngineError:
        if not self._timed_out:
            return error
        return TimedOut(f"{self.name}: no answer within {pipeline.config.timeout_s:g} s")

    def _refuse_for(self, seconds: float, error: EngineError, stopping: threading.Event) -> None:
        """While there is no engine, every pipeline says `failed` for what it is given."""
        until_ns = time.monotonic_ns() + int(seconds * 1e9)
        while time.monotonic_ns() < until_ns and not self._leaves(stopping):
            for pipeline, sample in self._take(len(self.pipelines), 0.1):
                now_ns = time.monotonic_ns()
                pipeline.unanswered(sample, error, Served(now_ns, now_ns, "none", self.manifest_id, str(error)))

    # -- main thread ----------------------------------------------------------------------------------------------

    def check(self, now_ns: int) -> None:
        """Cancel a run that takes longer than the shortest time-out of its pipelines."""
        model = self._model
        if model is not None and self._busy_s(now_ns) > self._patience_s:
            self._timed_out = True
            model.cancel()

    def stuck(self, now_ns: int) -> bool:
        """Busy for three times the time-out: cancelling did not help."""
        return self._busy_s(now_ns) > 3 * self._patience_s

    def _busy_s(self, now_ns: int) -> float:
        since_ns = self._busy_since_ns
        return 0.0 if since_ns is None else (now_ns - since_ns) / 1e9

    @property
    def _patience_s(self) -> float:
        """How long the run in progress may take."""
        return WARM_UP_S if self._warming else min(pipeline.config.timeout_s for pipeline in self.pipelines)

    def wake(self) -> None:
        """Make a waiting `run` look at `stopping`."""
        with self.ready:
            self.ready.notify_all()
