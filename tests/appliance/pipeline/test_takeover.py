"""A model goes on in another thread, on another engine, between two samples."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from engines.engine import EngineError
from engines.predictions import Answer
from tests.appliance.pipeline.test_worker import Bench, Played, answers, running
from tests.waiting import until


class OnTheGpu(Played):
    engine_name = "tensorrt"


class NotToBeClosed(Played):
    go = threading.Event()

    def __exit__(self, *_: object) -> None:
        assert self.go.wait(10)
        raise EngineError("the GPU does not take its memory back")


class NeverReady(OnTheGpu):
    def warm_up(self) -> None:
        raise EngineError("the GPU has no room")


@contextmanager
def successor(bench: Bench, model: Played) -> Iterator[threading.Thread]:
    """A thread that takes the worker over with this model."""
    bench.model = model
    bench.worker._open_model = lambda bundle: model  # type: ignore[assignment,return-value]  # plays the part of a Model
    stopping = threading.Event()
    thread = threading.Thread(target=bench.worker.take_over, args=(stopping,), name="successor")
    thread.start()
    try:
        yield thread
    finally:
        stopping.set()
        bench.worker.wake()
        thread.join(5)
        assert not thread.is_alive()


def test_the_next_sample_after_the_hand_over_is_answered_by_the_new_engine_and_none_is_lost() -> None:
    with running(Bench(Played(answers))) as bench:
        assert bench.ask().engine == "onnxruntime"
        with successor(bench, OnTheGpu(answers)):
            seen = [bench.ask().engine]
            while seen[-1] != "tensorrt":
                seen.append(bench.ask().engine)
            assert bench.worker.relieved
            assert [bench.ask().engine for _ in range(3)] == ["tensorrt"] * 3
            assert len(bench.results()) == bench.seq
            assert {result.status for result in bench.results()} == {"ok"}
            assert bench.worker.engine == "tensorrt"


def test_objects_that_were_followed_go_on_being_followed() -> None:
    with running(Bench(Played(answers), confirm=1)) as bench:
        bench.ask()
        with successor(bench, OnTheGpu(answers)):
            until(lambda: bench.ask().engine == "tensorrt")
        assert bench.events().count("new") == 1
        assert "end" not in bench.events()


def test_while_the_successor_opens_its_model_the_old_one_answers() -> None:
    opening, go = threading.Event(), threading.Event()

    class Slow(OnTheGpu):
        def warm_up(self) -> None:
            opening.set()
            assert go.wait(10)

    with running(Bench(Played(answers))) as bench, successor(bench, Slow(answers)):
        assert opening.wait(5)
        assert [bench.ask().engine for _ in range(5)] == ["onnxruntime"] * 5
        go.set()
        until(lambda: bench.ask().engine == "tensorrt")


def test_while_the_old_model_is_closed_the_successor_answers() -> None:
    closing, go = threading.Event(), threading.Event()

    class SlowToClose(Played):
        def __exit__(self, *error: object) -> None:
            closing.set()
            assert go.wait(10)

    with running(Bench(SlowToClose(answers))) as bench:
        bench.ask()
        with successor(bench, OnTheGpu(answers)):
            assert closing.wait(5)
            assert [bench.ask().engine for _ in range(3)] == ["tensorrt"] * 3
            go.set()
            assert bench.ask().engine == "tensorrt"
            bench.worker.check(time.monotonic_ns())
            assert bench.worker.state == "ready"


def test_what_cannot_be_closed_leaves_its_successor_alone() -> None:
    with running(Bench(NotToBeClosed(answers))) as bench:
        bench.ask()
        with successor(bench, OnTheGpu(answers)):
            until(lambda: bench.ask().engine == "tensorrt")
            NotToBeClosed.go.set()
            until(lambda: "first" not in {thread.name for thread in threading.enumerate()})
            assert [bench.ask().engine for _ in range(3)] == ["tensorrt"] * 3
            assert bench.worker.engine == "tensorrt"
            assert bench.worker.fault is None
            assert bench.worker.state == "ready"


@pytest.mark.parametrize("model", [NeverReady(answers), Played(answers)])
def test_a_successor_that_cannot_do_better_ends_and_nothing_has_changed(model: Played) -> None:
    with running(Bench(Played(answers))) as bench:
        bench.ask()
        with successor(bench, model) as thread:
            thread.join(5)
            assert not thread.is_alive()
        assert not bench.worker.relieved
        assert bench.ask().engine == "onnxruntime"
        assert bench.worker.fault is None


def test_a_worker_without_an_engine_is_taken_over_as_soon_as_there_is_one() -> None:
    bench = Bench(Played(answers))
    bench.missing = True
    with running(bench):
        assert bench.ask().status == "failed"
        bench.missing = False
        with successor(bench, OnTheGpu(answers)):
            until(lambda: bench.ask().engine == "tensorrt")


def test_a_successor_whose_engine_breaks_later_opens_it_again() -> None:
    broken = threading.Event()

    def sometimes(samples: Sequence[Any]) -> list[Answer | EngineError]:
        return [EngineError("the output holds NaN")] if broken.is_set() else answers(samples)

    with running(Bench(Played(answers))) as bench, successor(bench, OnTheGpu(sometimes)):
        until(lambda: bench.ask().engine == "tensorrt")
        broken.set()
        for _ in range(3):
            assert bench.ask().status == "failed"
        broken.clear()
        until(lambda: bench.ask().status == "ok")
        assert bench.worker.engine == "tensorrt"
