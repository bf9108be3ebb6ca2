"""A bundle that answers: pictures or windows of sound in, predictions out."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np

from engines.bundle import Bundle
from engines.chain import Chain, Link, Outputs
from engines.choose import Refusal, open_first
from engines.decode import Asked, Decoder, check_finite, make_decoder
from engines.engine import Array, Engine, EngineError, PictureInput, PreparesPictures, Tensors
from engines.manifest import AudioInput, ImageInput
from engines.pictures import Pictures
from engines.predictions import Answer, Prediction, Segment, StageTimes
from engines.sounds import Sounds
from engines.stream import Stream
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import recipe_of


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """One sample and what is wanted of it."""

    sample: Array
    stream: Stream
    threshold: float
    labels: frozenset[str] | None


@dataclass(frozen=True, slots=True, eq=False)
class _Open:
    """What there is between `__enter__` and `__exit__`."""

    chain: Chain
    inputs: PictureInput | Sounds
    decoder: Decoder


OpenHere: TypeAlias = Callable[[str], Engine]
"""Opens the engine for a stage of this name on this machine, until the model is closed."""

Placing: TypeAlias = Callable[[Bundle, OpenHere], Sequence[Link]]
"""From a bundle to open engines that run all of its stages, each one or several, in order. Raises EngineError."""


def _each_here(bundle: Bundle, here: OpenHere) -> Sequence[Link]:
    return [(stage.name, here(stage.name)) for stage in bundle.manifest.stages]


class Model:
    """Runs the stages of a bundle in order: prepare, networks, decode.

    Opened with `with`, and used, on one thread; only `cancel` may be called from another. What is given to `predict`
    is read before it returns, and what it returns belongs to the caller: nothing has to be copied on either side.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        engine: str = "auto",
        threads: int | None = None,
        gpu: GpuOptions | None = None,
        threshold: float | None = None,
        open_engine: Callable[[Path], Engine] | None = None,
        place: Placing | None = None,
    ) -> None:
        """`engine`: `auto`, or the name of the only back end that may be used. `threads`: of each network, None
        chooses for this machine. `gpu`: how TensorRT builds and runs them. `threshold`: instead of the manifest's.
        `open_engine`: makes the engine for a file, in place of the choice. `place`: says what runs the stages, where
        that is not an engine here for each.
        """
        self.manifest = bundle.manifest
        self.engine_name = "none"
        """Which back end runs it, once it is open."""
        self.refusals: tuple[Refusal, ...] = ()
        """Back ends that would have been preferred, and why they cannot be used."""
        self._bundle = bundle
        self._engine, self._threads, self._gpu = engine, threads, gpu or GpuOptions()
        self._most_rows: int | None = None
        self._threshold = self.manifest.decoder.threshold if threshold is None else threshold
        self._open_engine = open_engine
        self._place = place or _each_here
        self._open: _Open | None = None
        self._stack = contextlib.ExitStack()

    @property
    def threshold(self) -> float:
        """Least score of what is reported, unless a question says otherwise."""
        return self._threshold

    @property
    def batch_limit(self) -> int | None:
        """How many samples one run takes; None: any number. `predict` takes any number, in as many runs as it needs."""
        spec = self.manifest.input
        if isinstance(spec, AudioInput) and (spec.state or spec.layout == "n"):
            return 1
        return spec.batch or self._most_rows

    def __enter__(self) -> Model:
        """Raises EngineUnavailable when no back end can be used here, EngineError when the bundle does not fit."""
        with contextlib.ExitStack() as stack:
            self.refusals, self._most_rows = (), None
            links = self._place(self._bundle, lambda stage: self._engine_of(stage, stack))
            engines = [engine for _, engine in links]
            spec, rows = self.manifest.input, self.batch_limit or 1
            inputs = (
                Sounds(spec, rows, engines[0].inputs)
                if isinstance(spec, AudioInput)
                else self._pictures(spec, rows, engines[0])
            )
            chain = Chain(self.manifest, links, given=inputs.tensors(rows))
            decoder = make_decoder(self.manifest, engines[-1].outputs)
            self.engine_name = engines[0].name
            self._open = _Open(chain, inputs, decoder)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = None
        self._stack.__exit__(kind, error, trace)

    def _engine_of(self, stage: str, stack: contextlib.ExitStack) -> Engine:
        """The engine of this stage, open until `stack` ends."""
        if self._open_engine is not None:
            return stack.enter_context(self._open_engine(self._bundle.stage_path(stage)))
        choice = open_first(stack, recipe_of(self._bundle, stage, self._gpu), self._engine, self._threads)
        self.refusals += tuple(each for each in choice.refusals if each not in self.refusals)
        return choice.engine

    def _pictures(self, spec: ImageInput, rows: int, engine: Engine) -> PictureInput:
        """Prepared by the engine itself where it can, else here."""
        if isinstance(engine, PreparesPictures):
            self._most_rows = engine.most_rows
            prepared = engine.pictures(spec, rows)
            if prepared is not None:
                return prepared
        return Pictures(spec, rows)

    def new_stream(self) -> Stream:
        """The memory of one camera or microphone. Of an open model."""
        return Stream(self.manifest.input, self._opened.decoder.memory())

    def predict(
        self,
        samples: Sequence[Array],
        streams: Sequence[Stream] | None = None,
        thresholds: Sequence[float | None] | None = None,
        labels: Sequence[Collection[str] | None] | None = None,
    ) -> list[Answer | EngineError]:
        """One answer, or the reason why there is none, for each sample.

        `samples`: uint8 (height, width, 3) BGR, of any sizes, or float32 (n,) at the manifest's rate. `streams`: whose
        sample it is; without, every sample stands alone. `thresholds`: least score of what is reported, None is the
        model's own. `labels`: the only ones to report, None is all.
        """
        count = len(samples)
        streams = streams or [self.new_stream() for _ in samples]
        thresholds = thresholds or [None] * count
        labels = labels or [None] * count
        questions = [
            _Question(
                sample, stream, self._threshold if least is None else least, None if only is None else frozenset(only)
            )
            for sample, stream, least, only in zip(samples, streams, thresholds, labels, strict=True)
        ]
        most = self.batch_limit or count
        answers: list[Answer | EngineError] = []
        for first in range(0, count, most or 1):
            answers += self._run(questions[first : first + most])
        return answers

    def finish(self, stream: Stream) -> tuple[Segment, ...]:
        """The sound of this stream has ended: what was still going on."""
        ended = stream.memory.finish(stream.end) if stream.memory is not None else []
        return tuple(stream.take_finished() + ended)

    def warm_up(self) -> None:
        """One inference on nothing, so that the first real one is as quick as the rest; raises EngineError."""
        spec = self.manifest.input
        blank: Array = (
            np.zeros(spec.samples, np.float32)
            if isinstance(spec, AudioInput)
            else np.zeros((spec.height, spec.width, 3), np.uint8)
        )
        answer = self.predict([blank])[0]
        if isinstance(answer, EngineError):
            raise answer

    def run_bare(self) -> None:
        """The networks alone, once more on the input of the last `predict`: what an answer costs at least."""
        self._opened.chain.run(self._opened.inputs.tensors(self.batch_limit or 1))

    @property
    def stages(self) -> tuple[Link, ...]:
        """What runs the stages, in order. Of an open model."""
        return self._opened.chain.links

    def run_stages(self, given: Tensors | Array, first: str | None = None, last: str | None = None) -> dict[str, Array]:
        """The outputs of stage `last`, undecoded, good until the next run; None: of the last stage there is.

        `given`: the inputs of stage `first`, None: of the first one; or a sample, which stands alone. Raises
        EngineError.
        """
        opened = self._opened
        if isinstance(given, np.ndarray):
            self._put(0, _Question(given, self.new_stream(), self._threshold, None))
            given = opened.inputs.tensors(self.batch_limit or 1)
        return opened.chain.run_some(given, first, last)

    def cancel(self) -> None:
        """Make the `predict` in progress return errors soon. From any thread; does nothing when idle or closed."""
        opened = self._open
        if opened is not None:
            opened.chain.cancel()

    @property
    def _opened(self) -> _Open:
        assert self._open is not None, "a model is used inside `with`"
        return self._open

    def _run(self, questions: Sequence[_Question]) -> list[Answer | EngineError]:
        """One run of the networks."""
        started_ns = time.perf_counter_ns()
        asked = self._prepare(questions)
        prepared_ns = time.perf_counter_ns()
        outputs = self._infer([each for each in asked if isinstance(each, Asked)])
        inferred_ns = time.perf_counter_ns()
        found = self._decode(asked, outputs)
        decoded_ns = time.perf_counter_ns()
        times = StageTimes(
            prepare_ms=(prepared_ns - started_ns) / len(questions) / 1e6,
            infer_ms=(inferred_ns - prepared_ns) / len(questions) / 1e6,
            decode_ms=(decoded_ns - inferred_ns) / len(questions) / 1e6,
        )
        task = self.manifest.task
        return [each if isinstance(each, EngineError) else Answer(task, each, times) for each in found]

    def _prepare(self, questions: Sequence[_Question]) -> list[Asked | EngineError]:
        """Samples that can be read fill rows of the input, without holes."""
        asked: list[Asked | EngineError] = []
        row = 0
        for question in questions:
            try:
                asked.append(self._put(row, question))
                row += 1
            except EngineError as error:
                asked.append(error)
        return asked

    def _put(self, row: int, question: _Question) -> Asked:
        inputs = self._opened.inputs
        sample, stream = question.sample, question.stream
        if isinstance(inputs, Sounds):
            heard = inputs.put(row, sample, stream)
            return Asked(question.threshold, question.labels, stream, None, heard, sample)
        return Asked(question.threshold, question.labels, stream, placement=inputs.put(row, sample))

    def _infer(self, asked: Sequence[Asked]) -> Outputs | EngineError:
        """The outputs for the rows that were filled; a fault of the engine itself concerns all of them."""
        if not asked:
            return EngineError("no sample could be read")
        opened = self._opened
        rows = self.batch_limit or len(asked)
        try:
            outputs = opened.chain.run(opened.inputs.tensors(rows))
            fitting = Outputs(outputs, opened.decoder.shapes, rows)
            self._carry(outputs, asked)
        except EngineError as error:
            return error
        return fitting

    def _carry(self, outputs: Tensors, asked: Sequence[Asked]) -> None:
        """Hand the state of a recurrent network to the next window; a state with NaN would spoil all that follow."""
        spec = self.manifest.input
        if not isinstance(spec, AudioInput) or not spec.state:
            return
        for output in spec.state:
            check_finite(output, outputs[output])
        [only] = asked
        only.stream.state = {name: outputs[output].copy() for output, name in spec.state.items()}

    def _decode(
        self, asked: Sequence[Asked | EngineError], outputs: Outputs | EngineError
    ) -> list[tuple[Prediction, ...] | EngineError]:
        found: list[tuple[Prediction, ...] | EngineError] = []
        row = 0
        for each in asked:
            if isinstance(each, EngineError):
                found.append(each)
            elif isinstance(outputs, EngineError):
                found.append(outputs)
            else:
                found.append(self._decode_row(outputs, row, each))
                row += 1
        return found

    def _decode_row(self, outputs: Outputs, row: int, asked: Asked) -> tuple[Prediction, ...] | EngineError:
        try:
            return self._opened.decoder.decode(outputs.row(row), asked)
        except EngineError as error:
            return error
