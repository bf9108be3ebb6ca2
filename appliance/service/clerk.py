"""One model at work: questions wait for it in turns, and a thread of its own runs them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace

from appliance.backoff import Backoff
from appliance.questions.question import Code, Question, Refused, Reply
from appliance.service import fit
from appliance.service.backend import Backend, Opened
from appliance.service.figures import Figures, Tally
from appliance.service.line import Asked, Line, RoomLimits
from appliance.thread_name import name_thread
from engines.engine import EngineError, EngineLost

logger = logging.getLogger(__name__)

LOADING = "it is being loaded"
UNLOADED = "it is not loaded"
IDLE_S = 0.5
FAILURES_TO_REOPEN = 3
"""So many runs in a row without any answer, and the model is closed and opened again."""
RETRY_FIRST_S, RETRY_MOST_S = 1.0, 30.0


class Clerk:
    """`run` is the body of the thread `model <name>`; all else may be called from any thread."""

    def __init__(
        self,
        name: str,
        backend: Backend,
        limits: RoomLimits,
        service: str,
        changed: threading.Condition,
        wanted: Callable[[], bool],
    ) -> None:
        """`service`: who answers, as told in replies. `changed`: notified when there is room for more questions, and
        `wanted` says that there are some."""
        self.name = name
        self.opened: Opened | None = None
        self.fault: str | None = UNLOADED
        """Why it does not answer now."""
        self.settled = threading.Event()
        """Set when it has been opened, or is known not to open for now."""
        self._backend = backend
        self._run_s = limits.run_s
        self._service = service
        self._changed = changed
        self._wanted = wanted
        self._ready = threading.Condition()
        """Guards what follows."""
        self._line = Line(name, limits)
        self._tally = Tally()
        self._closing: Code | None = None
        self._bugs: set[type[Exception]] = set()

    # -- anybody --------------------------------------------------------------------------------------------------

    def ask(self, question: Question) -> Future[Reply]:
        """Its answer, or Refused, now or by its deadline and a run."""
        asked = Asked(question, Future(), time.monotonic_ns())
        with self._ready:
            self._tally.asked()
            try:
                self._let_in(asked)
            except Refused as refused:
                self._tally.refused(refused.code)
                asked.answer.set_exception(refused.bare())
            self._ready.notify()
        return asked.answer

    def _let_in(self, asked: Asked) -> None:
        """Raises Refused."""
        opened = self.opened
        if self._closing is not None:
            raise Refused(self._closing, f"{self.name} takes no more questions here")
        if opened is None:
            raise Refused("busy" if self.fault == LOADING else "failed", f"{self.name}: {self.fault}")
        fit.check(asked.question, opened)
        self._line.join(asked)

    def refused_outside(self, code: Code) -> None:
        """Count a question to this model that was refused before it was asked."""
        with self._ready:
            self._tally.asked()
            self._tally.refused(code)

    def wait_ns(self, asker: str, now_ns: int) -> int:
        """How long a question of this asker would wait, going by the last runs."""
        with self._ready:
            return self._line.wait_ns(asker, now_ns)

    def usual_ns(self, now_ns: int) -> int:
        """What one question has taken lately, without the wait; 0 when nothing is known."""
        with self._ready:
            return self._line.usual_ns(now_ns)

    @property
    def waiting(self) -> int:
        with self._ready:
            return len(self._line)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing runs."""
        with self._ready:
            return not len(self._line) and self._line.began_ns is None

    def sated_by(self) -> frozenset[str] | None:
        """Askers from whom nothing more is wanted for now, and None when it is so for all: whoever prepares questions
        prepares few more than would be begun soon. A little room is kept for those of whom nothing waits yet."""
        with self._ready:
            opened = self.opened
            return frozenset() if opened is None else self._line.sated_by(opened.most)

    def busy_ns(self, now_ns: int) -> int:
        """Time in which it ran, ever."""
        with self._ready:
            return self._line.busy_ns(now_ns)

    def figures(self) -> Figures:
        with self._ready:
            return self._tally.figures()

    def overdue_s(self, now_ns: int) -> float:
        """By how much the run in progress is beyond its limit; a run that is gets called off."""
        began_ns = self._line.began_ns
        over_s = 0.0 if began_ns is None else (now_ns - began_ns) / 1e9 - self._run_s
        if over_s > 0:
            self._backend.cancel()
        return max(0.0, over_s)

    @property
    def closing(self) -> bool:
        return self._closing is not None

    def reset(self) -> None:
        """Before its thread is started, again."""
        self._closing = None
        self.fault = LOADING
        self.settled.clear()

    def close(self, code: Code) -> None:
        """Refuse what comes from now on, with this reason; `run` ends once it has answered what waits."""
        with self._ready:
            self._closing = code
            self._ready.notify_all()

    # -- its thread -----------------------------------------------------------------------------------------------

    def run(self, stopping: threading.Event) -> None:
        """Body of the thread: until `stopping`, or until `close` and nothing waits."""
        name_thread(f"model {self.name}")
        backoff = Backoff(RETRY_FIRST_S, RETRY_MOST_S)
        try:
            while not self._leaves(stopping):
                try:
                    self._began(self._backend.open())
                    self._serve(stopping, backoff)
                except EngineError as error:
                    self._failed(error)
                finally:
                    self.opened = None
                    self._backend.close()
                if not self._leaves(stopping):
                    self._rest(backoff.next_s(), stopping)
        finally:
            self.fault = UNLOADED if self.fault in (None, LOADING) else self.fault
            self.settled.set()
            self._refuse_waiting(Refused(self._closing or "failed", f"{self.name} is not open any more"))

    def _leaves(self, stopping: threading.Event) -> bool:
        return stopping.is_set() or (self._closing is not None and not self.waiting)

    def _began(self, opened: Opened) -> None:
        self.opened, self.fault = opened, None
        self.settled.set()
        logger.info("%s: ready on %s", self.name, opened.engine)
        self._tell()

    def _failed(self, error: EngineError) -> None:
        if self.fault != str(error):
            logger.error("%s: %s", self.name, error)
        self.fault = str(error)
        self.opened = None
        self.settled.set()
        self._refuse_waiting(Refused("failed", f"{self.name}: {error}"))
        self._tell()

    def _rest(self, seconds: float, stopping: threading.Event) -> None:
        """Before the next attempt to open it."""
        with self._ready:
            self._ready.wait_for(lambda: stopping.is_set() or self._closing is not None, seconds)

    def _serve(self, stopping: threading.Event, backoff: Backoff) -> None:
        failures = 0
        while not self._leaves(stopping):
            batch = self._take()
            if not batch:
                continue
            answers = self._answers(batch)
            if any(isinstance(answer, Reply) for answer in answers):
                failures = 0
                backoff.reset()
            else:
                failures += 1
            self._hand_out(batch, answers)
            if failures >= FAILURES_TO_REOPEN:
                raise EngineError(f"{failures} runs in a row gave no answer, the model is opened again: {answers[-1]}")

    def _take(self) -> list[Asked]:
        """The next batch; what cannot be in time any more is refused instead."""
        assert self.opened is not None
        with self._ready:
            self._ready.wait_for(lambda: len(self._line) or self._closing is not None, IDLE_S)
            batch, late = self._line.begin(self.opened.most, time.monotonic_ns())
        if self._wanted():  # waking readers for nothing costs the run that is to begin now
            self._tell()
        for asked in late:
            self._refuse(asked, Refused("expired", f"{self.name}: its turn came too late"))
        return batch

    def _answers(self, batch: Sequence[Asked]) -> list[Reply | Refused]:
        """Of one run; when it failed as a whole, of one for each: one question must not spoil the others."""
        answers = self._run(batch)
        if len(batch) > 1 and all(isinstance(answer, Refused) and answer.code == "failed" for answer in answers):
            answers = [self._run([asked])[0] for asked in batch]
        return answers

    def _run(self, batch: Sequence[Asked]) -> list[Reply | Refused]:
        began_ns = time.monotonic_ns()
        try:
            answers = self._backend.run([asked.question for asked in batch])
        except EngineLost:
            raise
        except EngineError as error:
            answers = [Refused("failed", str(error))] * len(batch)
        except Exception as error:
            # A bug. It came with a question from outside, and that must not end the service for everybody else.
            if type(error) not in self._bugs:
                logger.exception("%s: internal error, told once; questions that bring it out are refused", self.name)
            self._bugs.add(type(error))
            answers = [Refused("failed", f"internal error: {type(error).__name__}")] * len(batch)
        ended_ns = time.monotonic_ns()
        with self._ready:
            self._tally.ran(batch, ended_ns - began_ns)
            if any(isinstance(answer, Reply) for answer in answers):
                self._line.note(ended_ns - began_ns, len(batch), ended_ns)
        return [
            replace(answer, queue_ms=(began_ns - asked.asked_ns) / 1e6, service=self._service)
            if isinstance(answer, Reply)
            else answer
            for asked, answer in zip(batch, answers, strict=True)
        ]

    def _hand_out(self, batch: Sequence[Asked], answers: Sequence[Reply | Refused]) -> None:
        now_ns = time.monotonic_ns()
        with self._ready:
            self._line.end(now_ns)
        for asked, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Refused):
                self._refuse(asked, answer)
            elif now_ns > asked.question.deadline_ns:
                self._refuse(asked, Refused("expired", f"{self.name}: the run ended after its deadline"))
            else:
                with self._ready:
                    self._tally.answered(answer, now_ns - asked.asked_ns)
                asked.answer.set_result(answer)

    def _refuse_waiting(self, refused: Refused) -> None:
        with self._ready:
            waiting = self._line.leave()
        for asked in waiting:
            self._refuse(asked, refused)

    def _refuse(self, asked: Asked, refused: Refused) -> None:
        with self._ready:
            self._tally.failed(refused, time.monotonic_ns() - asked.asked_ns)
        if asked.answer.running() or asked.answer.set_running_or_notify_cancel():
            asked.answer.set_exception(refused)

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()
