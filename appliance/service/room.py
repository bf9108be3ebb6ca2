"""The models of a service, each opened once, and whoever asks them: over MQTT, over the Open Inference Protocol."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from appliance.questions.question import Code, Question, Refused, Reply
from appliance.service.backend import Backend
from appliance.service.clerk import Clerk
from appliance.service.figures import Figures
from appliance.service.line import RoomLimits
from appliance.threads import Broken
from engines.engine import TensorSpec
from engines.manifest import Manifest

logger = logging.getLogger(__name__)

STOP_WITHIN_S = 5.0
HANGS_AFTER = 2.0
"""A run this many times over its limit, on top of it, does not react to being called off."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model is."""

    name: str
    version: str
    digest: str
    """Empty, as the version is, while it has never been open."""
    manifest: Manifest | None
    """None while it is not open."""
    ready: bool
    engine: str
    fault: str | None
    inputs: tuple[TensorSpec, ...]
    """Of the first stage; empty while it is not open."""
    outputs: tuple[TensorSpec, ...]
    """Of the last stage."""
    figures: Figures
    waiting: int
    """Questions that are not begun."""
    queue_ms: float
    """What a question is expected to wait behind all that do."""
    infer_ms: float
    """What one question has taken lately, without the wait; 0 when nothing is known."""


class Room:
    """Opened with `with`, which starts a thread for each model; `ask` may be called from any number of threads."""

    def __init__(
        self,
        backends: Mapping[str, Callable[[], Backend]],
        *,
        limits: RoomLimits = RoomLimits(),  # noqa: B008  # frozen
        service: str = "local",
        eager: bool = True,
    ) -> None:
        """`backends`: by the name of the model. `service`: who answers, as replies tell. `eager`: open all models at
        once; otherwise `load` does."""
        self.changed = threading.Condition()
        """Notified when a model has room for more questions, is opened or fails."""
        self._backends = backends
        self._limits = limits
        self._service = service
        self._eager = eager
        self.outside: Callable[[str], int] = lambda model: 0
        """How many questions wait for a model of this name before they are asked here, where somebody keeps such."""
        self._draining = False
        self._clerks = {name: self._clerk(name) for name in backends}
        self._threads: dict[str, tuple[threading.Thread, threading.Event]] = {}
        self._lock = threading.Lock()
        """Around loading and unloading."""

    def _clerk(self, name: str) -> Clerk:
        wanted = partial(self._wanted, name)
        return Clerk(name, self._backends[name](), self._limits, self._service, self.changed, wanted)

    def _wanted(self, name: str) -> bool:
        return self.outside(name) > 0

    def __enter__(self) -> Room:
        if self._eager:
            for name in self._clerks:
                self._start(name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What waits is refused; a thread that does not end is left and named."""
        deadline_s = time.monotonic() + STOP_WITHIN_S
        for name, (_, stopping) in self._threads.items():
            stopping.set()
            self._clerks[name].close("draining")
        for name, (thread, _) in self._threads.items():
            thread.join(max(0.0, deadline_s - time.monotonic()))
            if thread.is_alive():
                logger.warning("%s: its thread does not end", name)

    # -- asking ---------------------------------------------------------------------------------------------------

    def ask(self, question: Question) -> Future[Reply]:
        """Its answer; or the exception Refused, by its deadline and a run at the latest."""
        clerk = self._clerks.get(question.model)
        if clerk is None:
            return _refused(Refused("unknown-model", f"no model is called {question.model[:80]} here"))
        return clerk.ask(question)

    def knows(self, model: str) -> bool:
        """Whether it has, or could load, a model of this name."""
        return model in self._clerks

    def sated_by(self, model: str) -> frozenset[str] | None:
        """Askers from whom this model wants nothing more for now; None: it wants nothing from anybody."""
        return self._clerks[model].sated_by()

    def wait_ns(self, model: str, asker: str) -> int:
        """What a question of this asker would wait for a model that is known."""
        return self._clerks[model].wait_ns(asker, time.monotonic_ns())

    def refused_outside(self, model: str, code: Code) -> None:
        """Count a question to this model that was refused before it was asked. Nothing, for a model nobody knows."""
        if model in self._clerks:
            self._clerks[model].refused_outside(code)

    def usual_ns(self, model: str) -> int:
        """What one question to a model that is known has taken lately; 0 when nothing is known."""
        return self._clerks[model].usual_ns(time.monotonic_ns())

    # -- models ---------------------------------------------------------------------------------------------------

    def models(self) -> tuple[Standing, ...]:
        """How every model is, in the order they were given."""
        return tuple(self._standing(clerk) for clerk in self._clerks.values())

    def load(self, name: str) -> None:
        """Open a model, unless it is; blocks until that has worked. Raises Refused."""
        clerk = self._known(name)
        with self._lock:
            if self._draining:
                raise Refused("draining", "the service is about to end")
            if name not in self._threads:
                self._start(name)
        clerk = self._clerks[name]
        clerk.settled.wait()
        if clerk.opened is None:
            raise Refused("failed", f"{name}: {clerk.fault}")

    def unload(self, name: str) -> None:
        """Answer what waits for it, and close it; blocks until that is done. Raises Refused."""
        clerk = self._known(name)
        with self._lock:
            running = self._threads.get(name)
            if running is None:
                return
            clerk.close("failed")
            running[0].join()
            del self._threads[name]

    def _known(self, name: str) -> Clerk:
        clerk = self._clerks.get(name)
        if clerk is None:
            raise Refused("unknown-model", f"no model is called {name[:80]} here")
        return clerk

    def _start(self, name: str) -> None:
        clerk = self._clerks[name]
        clerk.reset()
        stopping = threading.Event()
        thread = threading.Thread(target=clerk.run, args=(stopping,), name=f"model {name}", daemon=True)
        thread.start()
        self._threads[name] = (thread, stopping)  # what is here and does not live has ended

    def _standing(self, clerk: Clerk) -> Standing:
        opened = clerk.opened
        manifest = None if opened is None else opened.manifest
        stages = [] if opened is None else list(opened.stages.values())
        now_ns = time.monotonic_ns()
        outside, usual_ns = self.outside(clerk.name), clerk.usual_ns(now_ns)
        return Standing(
            name=clerk.name,
            version="" if manifest is None else manifest.version,
            digest="" if manifest is None else manifest.digest,
            manifest=manifest,
            ready=manifest is not None,
            engine="none" if opened is None else opened.engine,
            fault=clerk.fault,
            inputs=stages[0].inputs if stages else (),
            outputs=stages[-1].outputs if stages else (),
            figures=clerk.figures(),
            waiting=clerk.waiting + outside,
            queue_ms=(clerk.wait_ns("", now_ns) + outside * usual_ns) / 1e6,
            infer_ms=usual_ns / 1e6,
        )

    # -- watching -------------------------------------------------------------------------------------------------

    @property
    def settled(self) -> bool:
        """Every model that is to be open is, or is known not to open for now."""
        return all(self._clerks[name].settled.is_set() for name in self._threads)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing runs."""
        return all(clerk.idle for clerk in self._clerks.values())

    def busy_ns(self) -> dict[str, int]:
        """By model: time in which it ran, ever."""
        now_ns = time.monotonic_ns()
        return {name: clerk.busy_ns(now_ns) for name, clerk in self._clerks.items()}

    def drain(self) -> None:
        """Refuse new questions; those that wait are answered, and `idle` becomes true."""
        self._draining = True
        for clerk in self._clerks.values():
            clerk.close("draining")

    def check(self) -> None:
        """To be called now and then: calls off runs that take too long. Raises Broken when a model's thread hangs or is
        gone."""
        now_ns = time.monotonic_ns()
        for name, running in list(self._threads.items()):
            thread, stopping = running
            clerk = self._clerks[name]
            if clerk.overdue_s(now_ns) > HANGS_AFTER * self._limits.run_s:
                raise Broken(f"{name}: its engine hangs and cannot be called off")
            ended = not thread.is_alive() and not stopping.is_set() and not clerk.closing
            if ended and self._threads.get(name) is running:  # it may have been unloaded and loaded again meanwhile
                raise Broken(f"{name}: its thread ended unexpectedly; see the traceback above")


def _refused(refused: Refused) -> Future[Reply]:
    answer: Future[Reply] = Future()
    answer.set_exception(refused)
    return answer
