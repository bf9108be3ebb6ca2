"""What a worker needs of whom it serves: a pipeline, or the lane that leads to it through the router."""

from __future__ import annotations

from typing import Protocol

from appliance.config_pipeline import Pipeline
from appliance.mailbox import Mailbox
from appliance.pipeline.compose import Served
from appliance.pipeline.pipeline import Settings
from capture.samples import Sample
from engines.engine import EngineError
from engines.manifest import Manifest
from engines.predictions import Answer


class Lane(Protocol):
    """Samples wait in `mailbox`; what becomes of each is told with `answered` or `unanswered`, on the model thread."""

    @property
    def name(self) -> str: ...

    @property
    def config(self) -> Pipeline: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def mailbox(self) -> Mailbox[Sample]: ...

    served_ns: int
    """When it was last given the engine."""

    def serve_with(self, manifest: Manifest) -> None:
        """A model is ready."""

    def answered(self, sample: Sample, answer: Answer, served: Served) -> None: ...

    def unanswered(self, sample: Sample, error: EngineError, served: Served) -> None: ...
