"""Asks the model service about open samples of one pipeline, and makes an answer of its reply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from appliance.pipeline.compose import Served
from appliance.pipeline.pipeline import Pipeline
from appliance.questions.question import Refused
from appliance.remote.inquirer import Inquiry
from appliance.remote.open_questions import Outcome
from appliance.remote.open_sample import Answered, OpenSample
from appliance.remote.pictures import Viewer
from appliance.remote.privacy import Withheld
from appliance.remote.service_side import ServiceSide
from appliance.remote.view import View
from capture.samples import Frame

MOST_ASKED = 4
"""Questions of one pipeline on their way at the same time; of an `every` pipeline, four times as many."""


Trace: TypeAlias = Callable[[str, Frame], "str | None"]
"""From the name of a pipeline and a picture to what a question about it carries for its trace."""


@dataclass(frozen=True, slots=True, eq=False)
class ServiceAnswer:
    """How a question about an open sample ended."""

    entry: OpenSample
    outcome: Outcome
    since: int
    """What the breaker has to be told with it."""
    asked_ns: int
    size: int
    """Bytes of the question."""


class Counsel:
    """Of the router's thread."""

    def __init__(
        self,
        pipeline: Pipeline,
        service: ServiceSide,
        viewer: Viewer,
        tell: Callable[[ServiceAnswer], None],
        trace: Trace | None = None,
    ) -> None:
        """`tell`: leaves word for this thread, from any other. `trace`: what a question about a picture of this
        pipeline carries for its trace."""
        self.asked = 0
        """Questions on their way."""
        self._pipeline = pipeline
        self._service = service
        self._viewer = viewer
        self._tell = tell
        self._trace = trace
        self._most = MOST_ASKED * (4 if pipeline.config.every else 1)

    def unaskable(self, entry: OpenSample, now_ns: int) -> str:
        """Why the service may not, or need not, be asked about this sample now; empty when it may."""
        try:
            if entry.spare is not None:
                self._viewer.found(entry.sample, entry.spare.answer.predictions)
            entry.view = self._viewer.view(entry.sample)
        except Withheld as why:
            return str(why)
        if self.asked >= self._most:
            return f"{self.asked} questions are on their way already"
        return self._service.unaskable((entry.deadline_ns - now_ns) / 1e9, now_ns / 1e9)

    def ask(self, entry: OpenSample, now_ns: int) -> None:
        """Once `unaskable` has said that nothing is against it."""
        view = entry.view
        assert view is not None, "whether it may be asked was looked at before"
        since = self._service.breaker.opened

        def take(outcome: Outcome, size: int) -> None:
            self._tell(ServiceAnswer(entry, outcome, since, now_ns, size))

        labels = self._pipeline.config.labels
        inquiry = Inquiry(
            jpeg=partial(self._viewer.encode, entry.sample, view),
            model=self._service.model,
            threshold=self._pipeline.settings.threshold,
            labels=tuple(labels) if labels else None,
            deadline_ns=entry.deadline_ns,
            take=take,
            trace=None if self._trace is None else self._trace(self._pipeline.name, entry.sample),
        )
        entry.questions += 1
        entry.asked_ns = entry.asked_ns or now_ns
        self.asked += 1
        self._service.ask(inquiry, now_ns / 1e9)

    def hear(self, told: ServiceAnswer, now_ns: int) -> Answered | None:
        """A question has ended; what it brought for its sample, if anything."""
        entry, outcome = told.entry, told.outcome
        self.asked -= 1
        entry.questions -= 1
        self._service.ended(outcome, told.since, told.asked_ns, told.size, now_ns)
        if isinstance(outcome, Refused):
            entry.service_words = f"the service did not answer ({outcome})"
            return None
        if outcome.answer is None:
            entry.service_words = "the service did not answer (it sent tensors instead)"
            return None
        assert entry.view is not None
        assert entry.decision is not None
        served = Served(
            taken_ns=told.asked_ns,
            done_ns=now_ns,
            engine=outcome.engine,
            model=outcome.model,
            reason=entry.decision.words + ("; this is the second opinion" if entry.spare is not None else ""),
            answered_by=f"remote:{outcome.service}",
            status="degraded" if _only_a_part_was_seen(entry) else "ok",
            queue_ms=outcome.queue_ms,
        )
        return Answered(entry.view.back(outcome.answer), served)


def _only_a_part_was_seen(entry: OpenSample) -> bool:
    """Nobody has looked at the rest of the picture."""
    height, width = entry.sample.pixels.shape[:2]
    return entry.spare is None and entry.view != View(0, 0, width, height)
