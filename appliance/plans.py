"""Plans for the GPU, built while other engines answer: one at a time, in a process of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from appliance.pipeline.worker import Worker
from engines.engine import EngineError
from engines.tensorrt.builder import Builder, Building, Built
from engines.tensorrt.engine import PlanNeeded

logger = logging.getLogger(__name__)


STOP_S = 0.5
"""How long a build may take to end by itself when the appliance stops."""


class Plans:
    """Used by the main thread alone: `tick` never waits."""

    def __init__(self, *, build: bool = True) -> None:
        """`build`: false only says what is missing."""
        self._build = build
        self._builder: Builder | None = None
        self._worker: Worker | None = None
        self._failed: dict[str, str] = {}
        """Name of a network's file: why there will be no plan for it."""
        self._told_percent = -1
        self.news: dict[str, str] = {}
        """Name of a model: how its plan is, in words."""

    def tick(self, workers: Mapping[str, Worker]) -> Worker | None:
        """Go on with what is wanted; a worker, once, when all plans that it needed are there."""
        if self._builder is None:
            self._begin(workers)
            return None
        worker = self._worker
        assert worker is not None, "a build is for somebody"
        state = self._builder.poll()
        if isinstance(state, Building):
            self._tell(worker.name, state)
            return None
        self._builder.cancel()
        network = str(self._builder.recipe.network)
        self._builder = self._worker = None
        if not isinstance(state, Built):
            self._failed[network] = state.reason
            self.news[worker.name] = f"no plan: {state.reason}"
            logger.warning("%s: no plan for the GPU: %s", worker.name, state.reason)
            return None
        made = state.description
        self.news[worker.name] = f"{made.precision}, {made.drift}"
        logger.info("%s: plan built in %.0f s: %s, %s", worker.name, made.build_s, made.precision, made.drift)
        worker.needed = tuple(each for each in worker.needed if str(each.recipe.network) != network)
        return None if worker.needed else worker

    def close(self) -> None:
        """Whatever is being built is given up."""
        if self._builder is not None:
            self._builder.cancel(STOP_S)
            self._builder = self._worker = None

    def _begin(self, workers: Mapping[str, Worker]) -> None:
        for worker in workers.values():
            for needed in worker.needed:
                if str(needed.recipe.network) in self._failed or not self._build:
                    continue
                self._start(worker, needed)
                return

    def _start(self, worker: Worker, needed: PlanNeeded) -> None:
        try:
            self._builder, self._worker = Builder(needed.recipe, needed.target), worker
        except EngineError as error:
            self._failed[str(needed.recipe.network)] = str(error)
            self.news[worker.name] = f"no plan: {error}"
            logger.warning("%s", error)
            return
        self._told_percent = -1
        logger.info("%s: building its plan for the GPU; %s answers meanwhile", worker.name, worker.engine)

    def _tell(self, name: str, state: Building) -> None:
        percent = int(state.fraction * 100)
        self.news[name] = f"building, {percent} % ({state.phase})"
        if percent // 10 > self._told_percent // 10:
            logger.info("%s: plan %d %% (%s)", name, percent, state.phase)
            self._told_percent = percent
