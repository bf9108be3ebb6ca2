"""Body of the thread `models`: carries versions forward while the appliance works, and follows what is active."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from appliance.backoff import Backoff
from appliance.config_errors import ConfigError
from appliance.mailbox import Mailbox
from appliance.pipeline.audience import Heard
from appliance.pipeline.worker import Worker
from appliance.result import ModelId
from appliance.sync.carrier import CarrierError, Stopped
from appliance.sync.fetch import Progress
from appliance.sync.ledger import Job, Ledger, LedgerError
from appliance.sync.machine import Machine
from appliance.sync.probation import Probation
from appliance.sync.published import is_name
from appliance.sync.shadow import Shadow
from appliance.sync.states import TRIED, WORDS, State
from appliance.sync.trust import Distrust
from appliance.sync.turn import Turn
from appliance.sync.verdict import Score, Terms, Word, of_probation
from appliance.sync.wishes import Wishes
from engines.bundle import Bundle
from engines.engine import EngineError
from engines.predictions import Answer

if TYPE_CHECKING:
    from engines.model import Model

logger = logging.getLogger(__name__)

Differed: TypeAlias = Callable[[ModelId, Heard, Answer], None]

POLL_S = 1.0
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 600.0
TAKEN_OVER_WITHIN_S = 30.0
"""From its activation until a version must have answered, or at least be open."""
FOLLOW_AGAIN_S = 5.0
FIRST_LOOK_S = 60.0
"""After a start; later looks come at the configured pace."""


class LiveModels:
    """`run` is the body of the thread; `successions`, `news` and `wishes` are for the main thread."""

    def __init__(
        self,
        open_ledger: Callable[[], Ledger],
        machine: Callable[[Ledger, threading.Event, Callable[[Job, Progress], None]], Machine],
        turn: Turn,
        presence: Turn,
        workers: Callable[[], Mapping[str, Worker]],
        open_model: Callable[[Bundle], Model],
        terms: Terms,
        look_s: float,
        differed: Differed = lambda _model, _heard, _answer: None,
    ) -> None:
        """`machine`: with the ledger of the thread, its stop, and who is told how a fetch goes. `turn`: of whoever
        changes models on this device; `presence`: held while the thread runs, so that commands leave the rest to it.
        `workers`: those at work now. `open_model`: as the workers do. `look_s`: between two looks for what is new and
        what was revoked. `differed`: told by which version in shadow a sample was answered otherwise."""
        self.successions: Mailbox[Worker] = Mailbox(64)
        """Workers that are to go on with what is active now."""
        self.news: Mapping[str, str] = {}
        """Name of a model: how its newest version is, in words."""
        self.wishes = Wishes()
        self._open_ledger = open_ledger
        self._machine = machine
        self._turn = turn
        self._presence = presence
        self._workers = workers
        self._open_model = open_model
        self._terms = terms
        self._look_s = look_s
        self._differed = differed
        self._next_look_s = time.monotonic() + min(look_s, FIRST_LOOK_S)
        self._retries: dict[str, tuple[Backoff, float]] = {}
        self._probations: dict[str, tuple[str, Probation, float]] = {}
        self._usual_ms: dict[str, list[float]] = {}
        self._followed_s: dict[str, float] = {}
        self._stopping = threading.Event()

    def run(self, stopping: threading.Event) -> None:
        """Trouble of the disk and of the registry is said and tried again; a device works without either."""
        self._stopping = stopping
        while not stopping.is_set():
            try:
                with self._presence.taken(), self._open_ledger() as ledger:
                    machine = self._machine(ledger, stopping, self.wishes.tell)
                    while not stopping.wait(POLL_S):
                        self._look(machine)
            except Stopped:
                return
            except (LedgerError, ConfigError, OSError) as error:
                logger.error("models: %s", error)
                stopping.wait(LONGEST_WAIT_S / 10)

    def _look(self, machine: Machine) -> None:
        with self._turn.taken() as mine:
            self.wishes.turn(machine, may_begin=mine, used=self._used())
        if time.monotonic() >= self._next_look_s and (self._used() or machine.ledger.jobs()):
            self._ask_registry(machine)
        jobs = machine.ledger.jobs()
        self.news = {job.model: self._in_words(machine, job) for job in jobs}
        for job in jobs:
            if not self._due(job):
                continue
            try:
                with self._turn.taken() as mine:
                    if mine:
                        self._carry(machine, machine.ledger.job(job.model) or job)
                self._retries.pop(job.model, None)
            except (CarrierError, ConfigError, OSError, EngineError) as error:
                backoff, _ = self._retries.get(job.model, (Backoff(FIRST_WAIT_S, LONGEST_WAIT_S), 0.0))
                wait_s = backoff.next_s()
                self._retries[job.model] = (backoff, time.monotonic() + wait_s)
                logger.warning("%s@%s: %s; trying again in %.0f s", job.model, job.version, error, wait_s)

    # -- jobs -----------------------------------------------------------------------------------------------------

    def _ask_registry(self, machine: Machine) -> None:
        """Now and then. A registry that is away, or not believed, changes nothing."""
        self._next_look_s = time.monotonic() + self._look_s
        try:
            with self._turn.taken() as mine:
                if mine:
                    machine.ask_registry(self._used())
        except (CarrierError, ConfigError, Distrust, EngineError) as error:
            logger.warning("models: nothing could be learned of new and of revoked versions: %s", error)

    def _due(self, job: Job) -> bool:
        return time.monotonic() >= self._retries.get(job.model, (None, 0.0))[1]

    def _in_words(self, machine: Machine, job: Job) -> str:
        words = f"{job.version} {WORDS[job.state]}"
        if job.state is State.FETCH and (percent := machine.ledger.note(f"progress {job.model}")) is not None:
            words += f", {percent} %"
        return f"{words}: {job.reason}" if job.reason else words

    # -- one step -------------------------------------------------------------------------------------------------

    def _carry(self, machine: Machine, job: Job) -> None:
        if job.state in TRIED:
            machine.advance(job)
        elif job.state is State.READY and job.activate:
            machine.ledger.move(job, State.SHADOW, "runs beside the active version")
        elif job.state is State.SHADOW:
            self._shadow(machine, job)
        elif job.state is State.ACTIVATE:
            self._follow(job.model, machine.activation.activate(job).version)
        elif job.state is State.PROBATION:
            self._watch(machine, job)
        elif job.state in (State.KEPT, State.RETURNED):
            self._drop_probation(job.model)
            self._follow(job.model, machine.slots.active_version(job.model))

    def _shadow(self, machine: Machine, job: Job) -> None:
        """Without a pipeline that runs the model there is nothing to compare with: probation decides alone."""
        workers = self._users(job.model)
        if not workers:
            machine.ledger.move(job, State.ACTIVATE, "no pipeline uses it")
            return
        new = ModelId(job.model, job.version, job.digest)
        shadow = Shadow(self._terms, self._is_stopped, partial(self._differed, new))
        verdict = None
        try:
            with self._open_model(Bundle.open(machine.slots.staged(job))) as model:
                model.warm_up()
                for worker in workers:
                    worker.audience = shadow
                verdict = shadow.run(model, lambda score: self._tell_shadow(job, score))
        except EngineError as error:
            machine.activation.give_back(job, f"it does not run here: {error}", deny=True)
            return
        finally:
            for worker in workers:
                worker.audience = None
        if verdict.word is Word.BACK:
            machine.activation.give_back(job, verdict.reason, deny=True)
            return
        self._usual_ms[job.model] = shadow.score.usual_ms
        machine.ledger.move(job, State.ACTIVATE, f"shadow: {verdict.reason}")

    def _tell_shadow(self, job: Job, score: Score) -> None:
        words = f"{job.version} {WORDS[job.state]}: {score.answers} samples in {score.seconds:.0f} s"
        self.news = {**self.news, job.model: words}

    def _watch(self, machine: Machine, job: Job) -> None:
        """A version on probation."""
        workers = self._users(job.model)
        known = self._probations.get(job.model)
        if known is None or known[0] != job.digest:
            probation = Probation(job.digest, self._usual_ms.pop(job.model, []))
            known = self._probations[job.model] = (job.digest, probation, time.monotonic())
        _, probation, since_s = known
        self._follow(job.model, job.version)
        for worker in workers:
            worker.audience = probation
        if not workers:
            self._keep(machine, job)
            return
        verdict = of_probation(probation.score(), self._terms, self._fault(workers, job, time.monotonic() - since_s))
        if verdict.word is Word.BACK:
            returned = machine.activation.give_back(job, verdict.reason, deny=True)
            self._drop_probation(job.model)
            self._follow(job.model, machine.slots.active_version(returned.model))
        elif verdict.word is Word.GO_ON:
            self._keep(machine, job)
            self._drop_probation(job.model)

    def _keep(self, machine: Machine, job: Job) -> None:
        kept = machine.activation.keep(job)
        try:
            machine.activation.tidy(kept, self._named())
        except (EngineError, OSError) as error:
            logger.warning("%s: its older versions stay on the disk until the next one is kept: %s", job.model, error)

    def _fault(self, workers: list[Worker], job: Job, seconds: float) -> str | None:
        """Why the version does not run, once that is sure."""
        for worker in workers:
            serves = worker.manifest_id.digest == job.digest
            if serves and worker.state in ("broken", "missing"):
                return worker.fault or "its engine is gone"
            if not serves and seconds > TAKEN_OVER_WITHIN_S and worker.state != "loading":
                return f"it was not taken over within {TAKEN_OVER_WITHIN_S:.0f} s"
        return None

    def _drop_probation(self, model: str) -> None:
        if self._probations.pop(model, None) is not None:
            for worker in self._users(model):
                worker.audience = None

    # -- what is active -------------------------------------------------------------------------------------------

    def _users(self, model: str) -> list[Worker]:
        """Workers that run whatever version of this model is active."""
        return [
            worker
            for worker in self._workers().values()
            if any(pipeline.config.model == model and pipeline.settings.enabled for pipeline in worker.pipelines)
        ]

    def _used(self) -> frozenset[str]:
        """Models that pipelines run by a name alone, so that their versions may change."""
        return frozenset(model for model in self._named() if is_name(model))

    def _named(self) -> set[str]:
        """Models as pipelines name them."""
        return {pipeline.config.model for worker in self._workers().values() for pipeline in worker.pipelines}

    def _follow(self, model: str, version: str | None) -> None:
        """Workers that run another version are asked to go on with this one."""
        now_s = time.monotonic()
        for worker in self._users(model):
            running = worker.manifest_id.version
            if not running or running == version or worker.state not in ("ready", "broken"):
                continue
            if now_s - self._followed_s.get(worker.name, -FOLLOW_AGAIN_S) >= FOLLOW_AGAIN_S:
                self._followed_s[worker.name] = now_s
                self.successions.put(worker)

    def _is_stopped(self) -> bool:
        return self._stopping.is_set()
