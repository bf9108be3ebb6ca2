"""The local side of a routed pipeline: what its worker sees in place of the pipeline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from appliance.mailbox import Mailbox
from appliance.pipeline.compose import Served
from appliance.pipeline.pipeline import QUEUE, Pipeline
from capture.samples import Sample
from engines.engine import EngineError
from engines.manifest import Manifest
from engines.predictions import Answer


@dataclass(frozen=True, slots=True, eq=False)
class LocalAnswer:
    """What became of a sample that the local engine was given."""

    sample: Sample
    answer: Answer | EngineError
    served: Served


@dataclass(frozen=True, slots=True)
class ModelReady:
    """The local engine has a model, perhaps another than before."""

    manifest: Manifest


class RoutedLane:
    """`give` and `take_back` are for the router's thread, the rest for the model thread, which only leaves word."""

    def __init__(
        self, pipeline: Pipeline, ready: threading.Condition, tell: Callable[[LocalAnswer | ModelReady], None]
    ) -> None:
        """`ready`: the condition that the worker waits on; `tell`: leaves word with the router."""
        self.name = pipeline.name
        self.config = pipeline.config
        self.settings = pipeline.settings
        self.served_ns = 0
        self._most = QUEUE if pipeline.config.every else 1
        self.mailbox: Mailbox[Sample] = Mailbox(self._most, ready)
        self._tell = tell

    @property
    def has_room(self) -> bool:
        return len(self.mailbox) < self._most

    def give(self, sample: Sample) -> None:
        """For the engine's next run; only while there is room."""
        self.mailbox.put(sample)

    def take_back(self) -> Sample | None:
        """The sample that waits longest and that the engine has not begun, if any."""
        return self.mailbox.take(0)

    def serve_with(self, manifest: Manifest) -> None:
        self._tell(ModelReady(manifest))

    def answered(self, sample: Sample, answer: Answer, served: Served) -> None:
        self._tell(LocalAnswer(sample, answer, served))

    def unanswered(self, sample: Sample, error: EngineError, served: Served) -> None:
        self._tell(LocalAnswer(sample, error, served))
