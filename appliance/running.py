"""The assembly that runs now: its threads are started, watched, replaced and ended here."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from appliance.assembly import Assembly
from appliance.pipeline.audience import Heard
from appliance.pipeline.worker import Worker
from appliance.plans import Plans
from appliance.result import ModelId
from appliance.threads import Body, Broken, Threads
from engines.predictions import Answer

STOP_WITHIN_S = 8.0
"""One deadline for every thread to end; systemd's own comes later."""

MOST_HANGING = 3
"""So many capture threads left hanging below Python, and the process starts afresh."""


class Running:
    """What a reload ends and begins again. For the main thread, unless a method says otherwise."""

    def __init__(self, *, build_plans: bool) -> None:
        """`build_plans`: as `Plans` wants it."""
        self.assembly = Assembly()
        self.plans = Plans(build=build_plans)
        self.threads = Threads()
        self._successors = Threads()
        """Threads that are to take over a model, under the names of those that serve it."""

    def begin(self, assembly: Assembly) -> None:
        """Nothing may run any more."""
        self.assembly = assembly
        for name, body in _bodies(assembly):
            self.threads.start(name, body)

    def end(self) -> None:
        """In order: first what captures, then what infers."""
        deadline_s = time.monotonic() + STOP_WITHIN_S
        self.plans.close()
        self.threads.ask_to_end()
        self._successors.ask_to_end()
        for feed in self.assembly.feeds.values():
            feed.close()
        for worker in self.assembly.workers.values():
            worker.wake()
        if self.assembly.remote is not None:
            self.assembly.remote.wake()
        self.threads.end(deadline_s)
        self._successors.end(deadline_s)

    def tick(self, now_ns: int, due: Iterable[Worker]) -> None:
        """Never waits. `due`: workers of which another version is active. Raises Broken."""
        if self.assembly.gathering is not None:
            self.assembly.gathering.tick()
        for worker in self.assembly.workers.values():
            worker.check(now_ns)
        self._replace_hung_captures(now_ns)
        self._hand_over(due)
        self._watch()

    def stuck(self, now_ns: int) -> Iterator[str]:
        """Names of those that make no progress."""
        yield from (worker.name for worker in self.assembly.workers.values() if worker.stuck(now_ns))
        if self.assembly.remote is not None and self.assembly.remote.routing.stuck(now_ns):
            yield "router"

    def differed(self, model: ModelId, heard: Heard, answer: Answer) -> None:
        """A version in shadow says something else of a sample than the active one. Of the thread `models`."""
        assembly = self.assembly
        pipeline = assembly.pipelines.get(heard.pipeline)
        if assembly.harvester is not None and pipeline is not None:
            assembly.harvester.differed(heard, assembly.worker_of(pipeline).manifest_id, model, answer)

    def _replace_hung_captures(self, now_ns: int) -> None:
        for feed in self.assembly.feeds.values():
            if not feed.hung(now_ns):
                continue
            if feed.hanging >= MOST_HANGING:
                raise Broken(f"{feed.name}: {feed.hanging} capture threads hang in the driver; starting afresh")
            feed.abandon()
            self.threads.start(_capture(feed.name), feed.run)

    def _hand_over(self, due: Iterable[Worker]) -> None:
        """A model whose plan is ready goes on in a thread that opens it on the GPU, and one of which another version is
        active in a thread that opens that one; the old one answers until then."""
        ready = self.plans.tick(self.assembly.workers)
        for worker in due if ready is None else [ready, *due]:
            if _model(worker.name) not in self._successors and self.assembly.workers.get(worker.name) is worker:
                self._successors.start(_model(worker.name), worker.take_over)
        for worker in self.assembly.workers.values():
            name = _model(worker.name)
            if name not in self._successors:
                continue
            if worker.relieved and not self.threads.alive(name):
                self._successors.hand(name, self.threads)
            elif not self._successors.alive(name):  # it could not open its model and said so
                self._successors.forget(name)

    def _watch(self) -> None:
        finished = {_capture(feed.name) for feed in self.assembly.feeds.values() if feed.finished}
        names = {_model(worker.name) for worker in self.assembly.workers.values() if worker.relieved}
        self.threads.watch(may_end=finished | {name for name in names if name in self._successors})


def _capture(source: str) -> str:
    return f"capture {source}"


def _model(worker: str) -> str:
    return f"model {worker}"


def _bodies(assembly: Assembly) -> Iterator[tuple[str, Body]]:
    """The threads of an assembly by their names, in the order in which they start."""
    if assembly.remote is not None:
        yield "asker", assembly.remote.asker.run
        yield "inquirer", assembly.remote.inquirer.run
        yield "router", assembly.remote.routing.run
    if assembly.recorder is not None:
        yield "recorder", assembly.recorder.run
    if assembly.harvester is not None:
        yield "harvest", assembly.harvester.run
    for worker in assembly.workers.values():
        yield _model(worker.name), worker.run
    for feed in assembly.feeds.values():
        yield _capture(feed.name), feed.run
