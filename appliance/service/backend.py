"""What runs the questions to one model: an engine in this process, or another server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from appliance.questions.question import Question, Refused, Reply
from appliance.result import ModelId
from engines.bundle import Bundle
from engines.engine import Array, EngineError, Tensors, TensorSpec
from engines.manifest import Manifest
from engines.model import Model
from engines.predictions import Answer

BATCH_ON_GPU = 8


@dataclass(frozen=True, slots=True)
class StageSpecs:
    """What goes into a stage and what comes out."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that can be asked."""

    manifest: Manifest
    engine: str
    """Which back end runs it, as published."""
    stages: Mapping[str, StageSpecs]
    """By name, in order."""
    most: int
    """Questions in one run that are worth it."""
    refusals: tuple[str, ...] = ()
    """Back ends that would have been preferred, and why they cannot be used."""


class Backend(Protocol):
    """Used on one thread, but for `cancel`. May be opened again after `close`."""

    def open(self) -> Opened:
        """Ready to answer at its usual speed; raises EngineError."""

    def run(self, questions: Sequence[Question]) -> list[Reply | Refused]:
        """Something for each of at most `Opened.most` questions, all of which fit the model (`fit.check`).

        `queue_ms` and `service` of a reply are the room's to fill. Raises EngineError when none can be answered.
        """

    def cancel(self) -> None:
        """Make the `run` in progress end soon. From any thread; does nothing when idle."""

    def close(self) -> None:
        """Also after an `open` that failed."""


class Local:
    """Engines in this process."""

    def __init__(self, find: Callable[[], Bundle], open_model: Callable[[Bundle], Model], batch: int | None) -> None:
        """`find` and `open_model` raise EngineError. `batch`: most questions in one run; None: one on a processor,
        where more take as long as one by one and the first waits for the last, and BATCH_ON_GPU elsewhere."""
        self._find = find
        self._open_model = open_model
        self._batch = batch
        self._model: Model | None = None
        self._id = ModelId("", "", "")
        self._stack = contextlib.ExitStack()

    def open(self) -> Opened:
        bundle = self._find()
        model = self._stack.enter_context(self._open_model(bundle))
        model.warm_up()
        manifest = model.manifest
        self._id = ModelId(manifest.name, manifest.version, manifest.digest)
        self._model = model
        wanted = self._batch or (1 if model.engine_name == "onnxruntime" else BATCH_ON_GPU)
        return Opened(
            manifest=manifest,
            engine=model.engine_name,
            stages={name: StageSpecs(engine.inputs, engine.outputs) for name, engine in model.stages},
            most=min(wanted, model.batch_limit or wanted),
            refusals=tuple(str(refusal) for refusal in model.refusals),
        )

    def run(self, questions: Sequence[Question]) -> list[Reply | Refused]:
        whole = [each for each in questions if each.decode]
        answers = dict(zip((id(each) for each in whole), self._predict(whole), strict=True))
        return [answers[id(each)] if each.decode else self._run_stages(each) for each in questions]

    def cancel(self) -> None:
        model = self._model
        if model is not None:
            model.cancel()

    def close(self) -> None:
        self._model = None
        self._stack.close()

    def _predict(self, questions: Sequence[Question]) -> list[Reply | Refused]:
        if not questions:
            return []
        assert self._model is not None
        answers = self._model.predict(
            [_sample(each) for each in questions],
            thresholds=[each.threshold for each in questions],
            labels=[each.labels for each in questions],
        )
        return [self._reply(each, answer) for each, answer in zip(questions, answers, strict=True)]

    def _run_stages(self, question: Question) -> Reply | Refused:
        assert self._model is not None
        started_ns = time.perf_counter_ns()
        try:
            outputs = self._model.run_stages(question.tensors or _sample(question), question.first, question.last)
        except EngineError as error:
            return Refused("failed", str(error))
        kept = {name: array.copy() for name, array in outputs.items()}
        return self._filled(question, None, kept, (time.perf_counter_ns() - started_ns) / 1e6)

    def _reply(self, question: Question, answer: Answer | EngineError) -> Reply | Refused:
        if isinstance(answer, EngineError):
            return Refused("failed", str(answer))
        times = answer.times
        return self._filled(question, answer, {}, times.prepare_ms + times.infer_ms + times.decode_ms)

    def _filled(self, question: Question, answer: Answer | None, tensors: Tensors, ms: float) -> Reply:
        assert self._model is not None
        return Reply(question.id, self._id, answer, tensors, 0.0, ms, "", self._model.engine_name)


def _sample(question: Question) -> Array:
    sample = question.picture if question.picture is not None else question.sound
    assert sample is not None, "fit.check has seen it"
    return sample
