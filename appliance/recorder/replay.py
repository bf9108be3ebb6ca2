"""A recording through the same pipeline again: the same model, decoder, tracker and events; what differs first."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import ValidationError

from appliance.config_pipeline import Pipeline as Settings
from appliance.mqtt.topics import Topics
from appliance.pipeline.compose import Served
from appliance.pipeline.pipeline import Pipeline
from appliance.recorder import compare
from appliance.recorder.compare import EXACT, LOSSY, Difference, Tolerance
from appliance.recorder.entry import Entry
from appliance.recorder.recording import NoRecording, Recording
from appliance.result import Event, ModelId, Result
from appliance.uplink.outgoing import Outgoing
from capture.samples import AudioWindow, Frame, Sample, Stamp
from engines.bundle import Bundle
from engines.engine import EngineError
from engines.manifest import AudioInput
from engines.model import Model
from engines.predictions import Answer, Prediction, StageTimes
from engines.stream import Stream

SETTLE_S = 3.0
"""So much sound brings the memory of a model up to date that began before the clip did."""
NO_TIMES = StageTimes(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Found:
    """How a replay went."""

    compared: int
    """Samples that were answered again, up to the first difference."""
    taken: int
    """Samples whose answer was taken from the recording: not kept, or answered by a service."""
    difference: Difference | None = None
    seq: int | None = None
    """Number of the frame or window where it is."""
    place: int | None = None
    """Of it in the clip."""


def tolerance_of(recording: Recording) -> Tolerance:
    """What it should be compared with, unless somebody knows better."""
    return EXACT if recording.clip.exact else LOSSY


class Replay:
    """One recording, one model. `run` opens the model and closes it."""

    def __init__(self, recording: Recording, bundle: Bundle, tolerance: Tolerance, engine: str = "auto") -> None:
        clip = recording.clip
        self._recording = recording
        self._bundle = bundle
        self._tolerance = tolerance
        self._engine = engine
        self._model_id = ModelId(bundle.manifest.name, bundle.manifest.version, bundle.manifest.digest)
        self._remembers = False
        """Whether the decoder keeps something from one window to the next."""
        self._results: list[Result] = []
        self._events: list[Event] = []
        self._pipeline = Pipeline(
            settings_of(recording),
            Topics("appliance", clip.device),
            self._posted,
            lambda: clip.clock,
            threading.Condition(),
            hears=clip.kind == "sound",
            show=lambda result, _: self._results.append(result),
        )

    def run(self) -> Found:
        """Up to the first difference. Once. Raises EngineError for a model that cannot be used, NoRecording."""
        compared = taken = 0
        ids: dict[str, str] = {}
        begun = not any(entry.memory is not None for entry in self._recording.entries)
        with Model(self._bundle, engine=self._engine) as model:
            self._pipeline.serve_with(self._bundle.manifest)
            if self._pipeline.misfit is not None:
                raise EngineError(self._pipeline.misfit)
            stream = model.new_stream()
            self._remembers = stream.memory is not None
            for entry, sample in self._recording.samples():
                if not begun and entry.memory is not None:
                    self._pipeline.memory = entry.memory
                    begun = True
                if not begun or entry.result.status == "failed":
                    continue
                answer: Answer | EngineError | None = None
                if sample is not None and entry.result.answered_by == "local":
                    answer = self._ask(model, stream, sample, entry)
                if answer is None or not self._settled(entry):
                    taken += 1
                    self._answer(entry, sample, recorded(entry.result, self._bundle.manifest.task))
                    continue
                compared += 1
                difference = self._judge(entry, sample, answer, ids)
                if difference is not None:
                    return Found(compared, taken, difference, entry.seq, entry.place)
        return Found(compared, taken)

    def _settled(self, entry: Entry) -> bool:
        spec = self._bundle.manifest.input
        if not isinstance(spec, AudioInput) or not (spec.state or spec.context or self._remembers):
            return True
        return entry.at_s - self._recording.entries[0].at_s >= SETTLE_S

    def _ask(self, model: Model, stream: Stream, sample: Sample, entry: Entry) -> Answer | EngineError:
        if isinstance(sample, AudioWindow):
            stream.seek(sample.start)
        [answer] = model.predict(
            [sample.samples if isinstance(sample, AudioWindow) else sample.pixels],
            streams=[stream],
            thresholds=[entry.threshold],
            labels=[self._pipeline.config.labels or None],
        )
        return answer

    def _judge(
        self, entry: Entry, sample: Sample | None, answer: Answer | EngineError, ids: dict[str, str]
    ) -> Difference | None:
        if isinstance(answer, EngineError):
            return Difference("status", entry.result.status, f"failed: {answer}")
        result, events = self._answer(entry, sample, answer)
        threshold = entry.threshold
        if threshold is None:
            threshold = self._bundle.manifest.decoder.threshold
        difference = compare.results(entry.result, result, self._tolerance, threshold)
        if difference is None and not self._tolerance.objects_only:
            difference = compare.events(entry.events, events, ids, self._tolerance)
        return difference

    def _answer(self, entry: Entry, sample: Sample | None, answer: Answer) -> tuple[Result, list[Event]]:
        """Through the pipeline, as it came from the engine."""
        self._results.clear()
        self._events.clear()
        served = Served(entry.ready_ns, entry.ready_ns, self._engine, self._model_id, "replayed")
        self._pipeline.answered(sample or stand_in(entry), answer, served)
        return self._results[-1], list(self._events)

    def _posted(self, document: Outgoing) -> None:
        if isinstance(document.document, Event):
            self._events.append(document.document)


def settings_of(recording: Recording) -> Settings:
    """The pipeline as it was configured; raises NoRecording when this version does not know it."""
    try:
        return Settings.model_validate(recording.clip.settings)
    except ValidationError as error:
        name = recording.clip.name
        raise NoRecording(
            f"{name}: its pipeline was configured by another version of the appliance: {error}"
        ) from error


def recorded(result: Result, task: str) -> Answer:
    """What the engine must have said for this result."""
    found: Sequence[Prediction] = tuple(replace(each, track=None) for each in result.detections or ())
    said = (*found, *(result.labels or ()), *(result.segments or ()))
    return Answer(task, said, NO_TIMES)


def stand_in(entry: Entry) -> Sample:
    """For a sample that was not kept: its size and its time are all that the pipeline looks at."""
    stamp = Stamp(entry.mono_ns, entry.unix_ns)
    if entry.heard is not None:
        heard = entry.heard
        silence = np.zeros(heard.length, np.float32)
        source = entry.result.source
        return AudioWindow(source, entry.seq, stamp, silence, heard.rate_hz, 0, entry.ready_ns, start=heard.start)
    size = entry.result.frame
    shape = (1, 1, 3) if size is None else (size.height, size.width, 3)
    return Frame(entry.result.source, entry.seq, stamp, np.broadcast_to(np.zeros(1, np.uint8), shape), entry.ready_ns)
