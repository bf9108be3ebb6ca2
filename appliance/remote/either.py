"""Stages that run on the device or at a service, sample by sample, wherever it was measured to take less time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType

from appliance.remote.cuts import Cuts
from appliance.remote.engine import RemoteStages
from engines.engine import Array, Engine, EngineError, Tensors

PATIENCE_TIMES = 4.0
"""An answer may take so many times what one has taken lately, where the device could have answered itself,"""
LEAST_PATIENCE_S = 0.05
"""and at least this long."""

HERE, THERE = "measured to take less time on the device", "measured to take less time at the service"


class EitherSide:
    """Runs all stages of a model, each on the device or at a service. See `Engine` for the contract.

    A stage that fails on one side is run on the other, where it can be.
    """

    def __init__(self, here: Sequence[Engine | None], there: Mapping[int, RemoteStages], cuts: Cuts) -> None:
        """`here`: an open engine for each stage, None where there is none; `there`: by cut, what runs the stages from
        there to the last; at least one."""
        self._here = tuple(here)
        self._there = dict(there)
        self._cuts = cuts
        self._cancelled = False
        self._askable = False
        """Whether there was a service to ask."""
        self.name = next((engine.name for engine in here if engine is not None), "remote")
        whole = self._there[min(self._there)]
        self.inputs, self.outputs = whole.inputs, whole.outputs
        self.answered_by: str | None = None
        """The service that answered last; None: this device."""
        self.reason = ""
        """Why it was that side, for a person."""

    def __enter__(self) -> EitherSide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The engines belong to whoever opened them."""

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Run on both sides of the cut; raises EngineError when a stage fails on every side that it could run on."""
        self._cancelled = False
        self._askable = any(each.askable for each in self._there.values())
        cut = self._cuts.choose(time.monotonic(), askable=self._askable)
        known = dict(inputs)
        trouble = None
        for stage, engine in enumerate(self._here[:cut]):
            assert engine is not None, "the cut leaves no stage here that has no engine"
            try:
                known |= self._run_here(stage, engine, known)
            except EngineError as error:
                trouble, cut = error, stage
                break
        if cut == len(self._here):
            return self._done(known, None, HERE if self._askable else "no service with this model is there")
        return self._go_on(cut, known, trouble)

    def cancel(self) -> None:
        self._cancelled = True
        for engine in (*self._here, *self._there.values()):
            if engine is not None:
                engine.cancel()

    def _go_on(self, cut: int, known: dict[str, Array], trouble: EngineError | None) -> dict[str, Array]:
        """From stage `cut` at the service; if that fails, here. `trouble`: why it could not run here."""
        there = self._there.get(cut)
        if self._cancelled or there is None:
            raise trouble or EngineError("cancelled")
        able = trouble is None and all(engine is not None for engine in self._here[cut:])
        started_s = time.monotonic()
        try:
            outputs = there.run({spec.name: known[spec.name] for spec in there.inputs}, self._patience_s(cut, able))
        except EngineError as error:
            self._cuts.failed_there(time.monotonic())
            if self._cancelled or not able:
                raise (error if trouble is None else EngineError(f"{trouble}; and {error}")) from error
            return self._finish_here(cut, known, error)
        ended_s = time.monotonic()
        self._cuts.ran_there(cut, (ended_s - started_s) * 1e3, ended_s)
        return self._done(
            outputs, there.answered_by, THERE if trouble is None else f"the local engine failed ({trouble})"
        )

    def _finish_here(self, cut: int, known: dict[str, Array], error: EngineError) -> dict[str, Array]:
        try:
            for stage, engine in enumerate(self._here[cut:], cut):
                assert engine is not None, "it was looked at before"
                known |= self._run_here(stage, engine, known)
        except EngineError as worse:
            raise EngineError(f"{worse}; and {error}") from worse
        return self._done(known, None, f"the service did not answer ({error})")

    def _run_here(self, stage: int, engine: Engine, known: Tensors) -> dict[str, Array]:
        started_s = time.monotonic()
        outputs = engine.run({spec.name: known[spec.name] for spec in engine.inputs})
        ended_s = time.monotonic()
        self._cuts.ran_here(stage, (ended_s - started_s) * 1e3, ended_s)
        return outputs

    def _patience_s(self, cut: int, able: bool) -> float | None:
        """None: all there is."""
        usual_ms = self._cuts.there_ms(cut)
        if not able or usual_ms is None:
            return None
        return max(LEAST_PATIENCE_S, PATIENCE_TIMES * usual_ms / 1e3)

    def _done(self, known: Tensors, service: str | None, reason: str) -> dict[str, Array]:
        self.answered_by, self.reason = service, reason
        return {spec.name: known[spec.name] for spec in self.outputs}
