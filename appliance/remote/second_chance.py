"""Samples that nobody could answer are asked about again once the service is back; their results are marked as late."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from appliance.pipeline.compose import Seen, Served
from appliance.pipeline.pipeline import Pipeline
from appliance.questions.question import Refused
from appliance.remote.inquirer import Encoding, Inquirer, Inquiry
from appliance.remote.kept import Kept, KeptSamples
from appliance.remote.open_questions import Outcome
from appliance.remote.pictures import Viewer
from appliance.remote.privacy import Withheld
from appliance.remote.service_side import OF_THE_QUESTION, ServiceSide
from capture.samples import Frame

PATIENCE_S = 5.0
"""Nothing hangs on a late answer, so a service with work to do may take its time."""
AGAIN_S, SOON_S = 0.5, 0.02


@dataclass(frozen=True, slots=True)
class Encoded:
    """A failed sample is ready to be kept."""

    kept: Kept


@dataclass(frozen=True, slots=True, eq=False)
class LateAnswer:
    """How a question about a kept sample ended."""

    kept: Kept
    outcome: Outcome
    since: int
    asked_ns: int
    size: int


Word: TypeAlias = Encoded | LateAnswer


class SecondChance:
    """Of the router's thread. One question at a time, and only while no sample of now is asked about."""

    def __init__(
        self,
        most: int,
        pipeline: Pipeline,
        service: ServiceSide,
        viewer: Viewer,
        inquirer: Inquirer,
        tell: Callable[[Word], None],
    ) -> None:
        """`most`: samples to keep, 0 for none; `tell`: leaves word for this thread, from any other."""
        self.answered = 0
        self.kept = KeptSamples(most)
        self._most = most
        self._pipeline = pipeline
        self._service = service
        self._viewer = viewer
        self._inquirer = inquirer
        self._tell = tell
        self._out = False
        self._again_ns = 0

    def keep(self, sample: Frame) -> None:
        """It was said to have failed."""
        if self._most:
            try:
                view = self._viewer.view(sample)
            except Withheld:
                return
            seen = Seen.of(sample)
            jpeg = partial(self._viewer.encode, sample, view)
            self._inquirer.encode(Encoding(jpeg, lambda made: self._tell(Encoded(Kept(seen, made, view)))))

    def turn(self, idle: bool, now_ns: int) -> None:
        """`idle`: nobody waits for an answer to a sample of now."""
        if self._out or now_ns < self._again_ns or not len(self.kept):
            return
        if not idle or self._service.unaskable(PATIENCE_S, now_ns / 1e9):
            self._again_ns = now_ns + int((AGAIN_S if idle else SOON_S) * 1e9)
            return
        kept = self.kept.take()
        if kept is not None:
            self._ask(kept, now_ns)

    def _ask(self, kept: Kept, now_ns: int) -> None:
        since = self._service.breaker.opened

        def take(outcome: Outcome, size: int) -> None:
            self._tell(LateAnswer(kept, outcome, since, now_ns, size))

        config = self._pipeline.config
        inquiry = Inquiry(
            jpeg=lambda: kept.jpeg,
            model=self._service.model,
            threshold=self._pipeline.settings.threshold,
            labels=tuple(config.labels) if config.labels else None,
            deadline_ns=now_ns + int(PATIENCE_S * 1e9),
            take=take,
        )
        self._out = True
        self._service.ask(inquiry, now_ns / 1e9)

    def hear(self, word: Word, now_ns: int) -> None:
        if isinstance(word, Encoded):
            self.kept.add(word.kept)
            return
        self._out = False
        outcome = word.outcome
        self._service.ended(outcome, word.since, word.asked_ns, word.size, now_ns)
        if isinstance(outcome, Refused):
            if outcome.code in OF_THE_QUESTION:
                self.kept.given_up += 1
            else:
                self.kept.put_back(word.kept)
                self._again_ns = now_ns + int(AGAIN_S * 1e9)
        elif outcome.answer is not None:
            self.answered += 1
            served = Served(
                taken_ns=word.asked_ns,
                done_ns=time.monotonic_ns(),
                engine=outcome.engine,
                model=outcome.model,
                reason="nobody could answer in time; the service did afterwards",
                answered_by=f"remote:{outcome.service}",
                queue_ms=outcome.queue_ms,
                late=True,
            )
            self._pipeline.answered_late(word.kept.seen, word.kept.view.back(outcome.answer), served)

    def next_ns(self, now_ns: int) -> int | None:
        """When to look again although nothing comes; None: never."""
        if self._out or not len(self.kept):
            return None
        return max(self._again_ns, now_ns)
