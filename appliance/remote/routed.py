"""A pipeline whose samples the local engine or a model service answers: each is given out once, and in time.

Everything here happens on the thread `router`; who answers is decided in `appliance/router.py`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

from appliance.harvest.basket import Said
from appliance.pipeline.compose import Served
from appliance.pipeline.pipeline import QUEUE, Pipeline
from appliance.remote.counsel import Counsel, ServiceAnswer
from appliance.remote.doubt import doubtful_score
from appliance.remote.endings import failed, local_instead
from appliance.remote.figures import RoutedFigures
from appliance.remote.lane import LocalAnswer, ModelReady
from appliance.remote.local_side import LocalSide
from appliance.remote.open_sample import Answered, OpenSample
from appliance.remote.order import Order
from appliance.remote.pictures import Viewer
from appliance.remote.second_chance import Encoded, LateAnswer, SecondChance
from appliance.remote.service_side import ServiceSide
from appliance.remote.settings import PipelineRemote, Side
from appliance.result import ModelId
from appliance.router import Decision, Situation, decide
from capture.samples import Frame
from engines.engine import EngineError

logger = logging.getLogger(__name__)

EARLY_SHARE, MOST_EARLY_NS = 0.05, 10_000_000
"""Of the deadline, and at most: a result is given up on so much earlier, because it takes a moment to wake up, to make
it and to hand it on."""
AGAIN_NS = 20_000_000
"""A sample that nobody could take is offered around again after so long."""


Told: TypeAlias = LocalAnswer | ModelReady | ServiceAnswer | Encoded | LateAnswer


class Routed:
    """Of the router's thread; only `figures` is for any."""

    def __init__(
        self,
        pipeline: Pipeline,
        settings: PipelineRemote,
        local: LocalSide,
        service: ServiceSide,
        viewer: Viewer,
        counsel: Counsel,
        chance: SecondChance,
    ) -> None:
        self.pipeline = pipeline
        self.local = local
        self.service = service
        self.figures = RoutedFigures()
        self._settings = settings
        self._viewer = viewer
        self._counsel = counsel
        self._chance = chance
        self._order = Order(pipeline.config.every)
        deadline_ns = int(settings.deadline_s * 1e9)
        self._patience_ns = deadline_ns - min(int(deadline_ns * EARLY_SHARE), MOST_EARLY_NS)
        self._model = ModelId(pipeline.config.model, "", "")
        self._decisions: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()
        self._failed = self._hedged = self._unused = 0
        self._side: Side | None = None
        self._news = True
        """Something has changed since those that wait were last offered around."""
        self._again_ns = 0

    # -- what the thread calls ------------------------------------------------------------------------------------

    @property
    def hungry(self) -> bool:
        """Whether a sample waits that can be taken."""
        return len(self._order) < QUEUE and len(self.pipeline.mailbox) > 0

    def turn(self, now_ns: int) -> None:
        """Take what has come, look after what is open, give out what has ended."""
        self._news |= self.service.look(now_ns / 1e9)
        while self.hungry:
            sample = self.pipeline.mailbox.take(0)
            if isinstance(sample, Frame):
                self._viewer.watch(sample)
                self._order.add(OpenSample(sample, now_ns, sample.complete_ns + self._patience_ns))
        for entry in self._order:
            if entry.ending is None:
                self._look_after(entry, now_ns)
        self._start_those_that_wait(now_ns)
        self._order.tidy()
        for entry in self._order.leaving():
            self._give_out(entry, now_ns)
        self._chance.turn(idle=self._counsel.asked == 0, now_ns=now_ns)

    def hear(self, told: Told, now_ns: int) -> None:
        self._news = True
        if isinstance(told, ModelReady):
            manifest = told.manifest
            self._model = ModelId(manifest.name, manifest.version, manifest.digest)
            if self._settings.model is None:
                self.service.model = manifest.name  # the configuration may have named a file or a folder
            self.pipeline.serve_with(manifest)
        elif isinstance(told, LocalAnswer):
            self._hear_engine(told, now_ns)
        elif isinstance(told, ServiceAnswer):
            self._hear_service(told, now_ns)
        else:
            self._chance.hear(told, now_ns)

    def next_ns(self, now_ns: int) -> int | None:
        """When it has to be looked after again though nothing has come; None: never."""
        times = [time_ns for entry in self._order if entry.ending is None for time_ns in self._times(entry, now_ns)]
        chance_ns = self._chance.next_ns(now_ns)
        return min([*times, *([] if chance_ns is None else [chance_ns])], default=None)

    def _times(self, entry: OpenSample, now_ns: int) -> list[int]:
        times = [entry.deadline_ns]
        if entry.with_engine and not entry.over_budget:
            times.append(self.local.due_ns(entry))
        if entry.questions and not entry.hedged and entry.asked_ns is not None:
            times.append(max(self.service.hedge_ns(entry.asked_ns, entry.deadline_ns), self._again_ns))
        if _wants_somebody(entry):
            times.append(max(self._again_ns, now_ns))
        return times

    # -- one sample -----------------------------------------------------------------------------------------------

    def _look_after(self, entry: OpenSample, now_ns: int) -> None:
        if self.local.is_overdue(entry, now_ns):
            self._news = True
        if now_ns >= entry.deadline_ns:
            self._close(entry, now_ns)
        elif entry.questions:
            self._hedge(entry, now_ns)

    def _start_those_that_wait(self, now_ns: int) -> None:
        """The newest, or in an `every` pipeline all, oldest first: at once when they are new, and again whenever
        something has changed or some time has passed. When nobody takes one, nobody takes the others like it."""
        again = self._news or now_ns >= self._again_ns
        if again:
            self._news, self._again_ns = False, now_ns + AGAIN_NS
        newest = self._order.newest
        left: dict[bool, Decision] = {}
        for entry in self._order:
            first_time = entry.decision is None
            may_start = entry is newest or self.pipeline.config.every
            if not may_start or not _wants_somebody(entry) or not (again or first_time):
                continue
            if entry.plain and entry.waits in left:
                entry.decision = left[entry.waits]
            elif not self._start(entry, now_ns) and entry.plain and entry.decision is not None:
                left[entry.waits] = entry.decision

    def _start(self, entry: OpenSample, now_ns: int) -> bool:
        """Give it to whoever should answer it, as things are now; false when that is nobody new."""
        decision = decide(self._situation(entry, now_ns))
        before, entry.decision = entry.decision, decision
        if decision.place == "none":
            if entry.engine_words and entry.service_words:
                self._close(entry, now_ns)
            return False
        if decision.place == "local" and entry.spare is not None:
            self._order.end(entry, local_instead(entry))
        elif decision.place == "local" and (entry.with_engine or not self._takes(entry)):
            entry.decision = before or decision
            return False
        elif decision.place == "local":
            self.local.give(entry, now_ns)
        else:
            self._counsel.ask(entry, now_ns)
            if decision.place == "both":
                entry.trial = True
                self.local.trust.tried(now_ns / 1e9)
                self.local.give(entry, now_ns)
        self._decisions[f"{decision.place}: {decision.cause}"] += 1
        return True

    def _takes(self, entry: OpenSample) -> bool:
        """An `every` pipeline takes nothing back from the engine's queue."""
        return self.local.has_room or not self.pipeline.config.every

    def _situation(self, entry: OpenSample, now_ns: int) -> Situation:
        now_s = now_ns / 1e9
        standing, trust = self.local.standing, self.local.trust
        unaskable = entry.service_words or self._counsel.unaskable(entry, now_ns)
        return Situation(
            engine=standing.state,
            engine_words=standing.words,
            engine_failed=entry.engine_words,
            trusted=trust.trusted,
            distrust=trust.words,
            due_for_a_try=self.local.idle and trust.due_for_a_try(now_s),
            hot_c=self.local.hot_c(),
            doubtful_score=entry.doubtful_score,
            askable=not unaskable,
            unaskable=unaskable,
            preferred=self._settings.prefer,
        )

    def _hedge(self, entry: OpenSample, now_ns: int) -> None:
        """The service takes long, or is gone: the engine is asked as well, or another service."""
        assert entry.asked_ns is not None
        gone = not self.service.standing.usable
        if entry.hedged or not (gone or now_ns >= self.service.hedge_ns(entry.asked_ns, entry.deadline_ns)):
            return
        if entry.spare is None and not entry.with_engine and not entry.engine_words and self.local.can_help:
            self.local.give(entry, now_ns)
        elif not gone and self.service.could_ask_another and not self._counsel.unaskable(entry, now_ns):
            self._counsel.ask(entry, now_ns)
        else:
            return
        entry.hedged = True
        self._hedged += 1

    # -- what comes back ------------------------------------------------------------------------------------------

    def _hear_engine(self, told: LocalAnswer, now_ns: int) -> None:
        entry = self.local.take(told, now_ns)
        if entry is None or entry not in self._order:
            return
        if isinstance(told.answer, EngineError):
            return  # it is looked after in this turn
        self._model = told.served.model
        assert entry.decision is not None, "whoever was given a sample was chosen"
        poorer = self._settings.prefer == "remote" and self._settings.model not in (None, told.served.model.name)
        served = replace(told.served, reason=entry.decision.words, status="degraded" if poorer else "ok")
        answered = Answered(told.answer, served)
        doubt = doubtful_score(told.answer, self._settings.unsure_between)
        if entry.questions and (entry.trial or self._settings.prefer == "remote"):
            entry.spare = answered
        elif doubt is not None and entry.asked_ns is None:
            entry.spare, entry.doubtful_score = answered, doubt
            self._start(entry, now_ns)
        else:
            self._order.end(entry, answered)

    def _hear_service(self, told: ServiceAnswer, now_ns: int) -> None:
        entry = told.entry
        answered = self._counsel.hear(told, now_ns)
        if entry.ending is not None or entry not in self._order:
            self._unused += answered is not None
        elif answered is not None:
            self._order.end(entry, answered)
        elif entry.questions == 0 and entry.spare is not None:
            self._order.end(entry, local_instead(entry))

    # -- how it ends ----------------------------------------------------------------------------------------------

    def _close(self, entry: OpenSample, now_ns: int) -> None:
        """Nobody will answer it in time any more."""
        if entry.spare is not None:
            self._order.end(entry, local_instead(entry))
            return
        if entry.decision is not None and entry.decision.place == "none":
            self._decisions[f"none: {entry.decision.cause}"] += 1
        unaskable = self.service.unaskable(self._settings.deadline_s, now_ns / 1e9)
        self._order.end(entry, failed(entry, self.local.trust.words, unaskable))

    def _give_out(self, entry: OpenSample, now_ns: int) -> None:
        """Publish it: the one place where a sample of this pipeline gets its result."""
        ending = entry.ending
        if isinstance(ending, Answered):
            self._side = "local" if ending.served.answered_by == "local" else "remote"
            self._answered[self._side] += 1
            self._viewer.found(entry.sample, ending.answer.predictions)
            self.pipeline.answered(entry.sample, ending.answer, ending.served, _said_before(entry, ending))
        elif ending is not None:
            self._failed += 1
            self._side = None
            served = Served(entry.taken_ns, now_ns, "none", self._model, ending.words)
            self.pipeline.unanswered(entry.sample, EngineError(ending.words), served)
            self._chance.keep(entry.sample)

    # -- figures --------------------------------------------------------------------------------------------------

    def _reasons(self, now_s: float) -> Iterator[str]:
        standing, trust = self.local.standing, self.local.trust
        trouble = standing.words if standing.state != "ready" else "" if trust.trusted else trust.words
        if self._side == "remote" and self._settings.prefer == "local" and trouble:
            yield f"the service answers: {trouble}"
        elif trouble and standing.state == "ready":
            yield trouble  # without an engine its worker says so
        if not self.service.standing.usable:
            yield f"nobody to fall back on: {self.service.standing.words}"
        elif self.service.breaker.state(now_s) != "closed":
            yield f"the service does not answer: {self.service.breaker.words}"

    def tell_figures(self, now_ns: int) -> None:
        """Make the picture that health shows."""
        trust, service, chance = self.local.trust, self.service, self._chance
        before = self.figures
        self.figures = RoutedFigures(
            side=self._side,
            reasons=tuple(self._reasons(now_ns / 1e9)),
            service=service.standing.words,
            breaker=service.breaker.state(now_ns / 1e9),
            breaker_opened=service.breaker.opened,
            trusted=trust.trusted,
            distrust="" if trust.trusted else trust.words,
            answered=dict(self._answered),
            failed=self._failed,
            decisions=dict(self._decisions),
            questions=service.asked,
            hedged=self._hedged,
            late=self.local.late,
            unused=self.local.unused + self._unused,
            dropped=self._order.dropped,
            kept=len(chance.kept),
            answered_late=chance.answered,
            given_up=chance.kept.given_up,
            round_trip_p50_ms=service.round_trips.p50_ms,
            round_trip_p95_ms=service.round_trips.p95_ms,
        )
        self._log(before, self.figures)

    def _log(self, before: RoutedFigures, now: RoutedFigures) -> None:
        if before.trusted and not now.trusted:
            logger.warning("%s: %s; the service is asked", self.pipeline.name, now.distrust)
        elif now.trusted and not before.trusted:
            logger.info("%s: the local engine is trusted again", self.pipeline.name)
        if now.breaker != "closed" and before.breaker == "closed":
            logger.warning("%s: the service is left alone: %s", self.pipeline.name, self.service.breaker.words)
        elif now.breaker == "closed" and before.breaker != "closed":
            logger.info("%s: the service answers again", self.pipeline.name)


def _said_before(entry: OpenSample, ending: Answered) -> Said | None:
    """What the local engine says of a sample that the service has answered."""
    if entry.spare is None or ending.served.answered_by == "local":
        return None
    return Said("local", entry.spare.served.model, entry.spare.answer)


def _wants_somebody(entry: OpenSample) -> bool:
    """Nobody works on it, or the engine for too long already."""
    return entry.waits or (entry.over_budget and entry.with_engine and entry.asked_ns is None)
