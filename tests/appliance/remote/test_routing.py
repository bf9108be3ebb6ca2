"""The router's thread: it sleeps while there is nothing to do, and wakes for whatever comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from appliance.pipeline.pipeline import Pipeline
from appliance.remote.routing import Routing
from capture.samples import Frame, Stamp
from tests.appliance.remote.world import World
from tests.arrays import picture
from tests.waiting import until


@contextmanager
def routing(keep: int = 0) -> Iterator[tuple[Routing, World, list[float]]]:
    """The thread, a pipeline of a world whose own time stands still, and the processor time that the thread took."""
    thread_of, used_s = Routing(), [0.0]
    world = World(deadline_s=1.0, keep=keep, ready=thread_of.ready)
    thread_of.routed["p"] = world.routed
    stopping = threading.Event()

    def run() -> None:
        thread_of.run(stopping)
        used_s[0] = time.thread_time()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread_of, world, used_s
    finally:
        stopping.set()
        thread_of.wake()
        thread.join(5)
    assert not thread.is_alive()


def offer(pipeline: Pipeline) -> None:
    stamp = Stamp.now()
    pipeline.offer(Frame("dock", 0, stamp, picture(64, 48), ready_ns=stamp.mono_ns))


@pytest.mark.system
def test_a_sample_that_nobody_answers_fails_by_its_deadline_and_the_thread_sleeps_meanwhile() -> None:
    with routing(keep=3) as (_, world, used_s):
        world.services = ()
        begun_s = time.monotonic()
        offer(world.pipeline)
        until(lambda: world.results, 3)
        took_s = time.monotonic() - begun_s
        threading.Event().wait(0.5)
    assert took_s >= 0.9
    assert world.results[0][1].status == "failed"
    assert used_s[0] < 0.25, "it looked after one sample every 20 ms, not all the time"


def test_it_knows_when_it_hangs() -> None:
    with routing() as (thread_of, _, _):
        until(lambda: thread_of.stuck(time.monotonic_ns() + 60 * 10**9))
        assert not thread_of.stuck(time.monotonic_ns())
        assert thread_of.stuck(time.monotonic_ns() + 60 * 10**9)
