"""A model thread and its pipelines, with a model that does what the test says."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from appliance.config_pipeline import Pipeline as PipelineConfig
from appliance.mqtt.topics import Topics
from appliance.pipeline.compose import Seen, Served
from appliance.pipeline.pipeline import Pipeline
from appliance.pipeline.worker import WARM_UP_S, Worker
from appliance.result import Event, ModelId, Result
from appliance.uplink.outgoing import Outgoing, Publish, Spool
from capture.samples import Frame, Stamp
from engines.bundle import Bundle
from engines.engine import EngineError
from engines.manifest import Decoder, ImageInput, Manifest, Stage
from engines.predictions import Answer, Detection, StageTimes
from tests.arrays import picture
from tests.waiting import until

MANIFEST = Manifest(
    name="people",
    version="3",
    task="detect",
    labels=("person",),
    input=ImageInput(tensor="images", width=64, height=48, fit="stretch"),
    stages=(Stage(name="main", file="model.onnx", digest="sha256:" + "0" * 64),),
    decoder=Decoder(name="yolo-v8", threshold=0.5),
)
TIMES = StageTimes(0.1, 1.0, 0.1)
PERSON = Answer("detect", (Detection("person", 0, 0.9, (10, 10, 30, 40)),), TIMES)

Behaviour = Callable[[Sequence[Any]], list[Answer | EngineError]]


class Played:
    """A model that answers as told."""

    engine_name = "onnxruntime"
    refusals: tuple[str, ...] = ()
    batch_limit: int | None = None

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self.cancelled = threading.Event()
        self.batches: list[int] = []

    def __enter__(self) -> Played:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def warm_up(self) -> None:
        pass

    def new_stream(self) -> None:
        return None

    def predict(self, samples: Sequence[Any], **_: Any) -> list[Answer | EngineError]:
        self.batches.append(len(samples))
        return self._behaviour(samples)

    def cancel(self) -> None:
        self.cancelled.set()


def answers(samples: Sequence[Any]) -> list[Answer | EngineError]:
    return [PERSON for _ in samples]


class Bench:
    """A worker, its pipelines, and what they posted."""

    def __init__(self, model: Played, names: Sequence[str] = ("p",), **settings: Any) -> None:
        self.posted: list[Outgoing] = []
        self.finds = 0
        self.found_s: list[float] = []
        self.missing = False
        self.model = model
        ready = threading.Condition()
        max_batch = settings.pop("max_batch", None)
        self.pipelines: list[Pipeline] = []
        self.worker = Worker("people", self._find, lambda bundle: model, ready, max_batch)  # type: ignore[arg-type,return-value]  # plays the part of a Model
        for name in names:
            table = PipelineConfig(name=name, source="dock", model="people", **settings)
            pipeline = Pipeline(table, Topics("appliance", "box"), self.posted.append, lambda: "synced", ready)
            self.pipelines.append(pipeline)
            self.worker.pipelines.append(pipeline)
        self.seq = 0

    def _find(self) -> Bundle:
        self.finds += 1
        self.found_s.append(time.monotonic())
        if self.missing:
            raise EngineError("people: no such model")
        return Bundle(MANIFEST, Path(), {})

    def offer(self, position: int = 0) -> None:
        stamp = Stamp.now()
        frame = Frame("dock", self.seq, stamp, picture(64, 48), ready_ns=stamp.mono_ns)
        self.seq += 1
        self.pipelines[position].offer(frame)

    def results(self, name: str = "p") -> list[Result]:
        documents = [post.document for post in list(self.posted)]
        return [d for d in documents if isinstance(d, Result) and d.pipeline == name]

    def events(self) -> list[str]:
        documents = [post.document for post in list(self.posted) if isinstance(post, Spool)]
        return [document.event for document in documents if isinstance(document, Event)]

    def ask(self, position: int = 0) -> Result:
        """Offer one sample and wait for its result."""
        name = self.worker.pipelines[position].name
        before = len(self.results(name))
        self.offer(position)
        until(lambda: len(self.results(name)) > before)
        return self.results(name)[-1]


@contextmanager
def running(bench: Bench) -> Iterator[Bench]:
    stopping = threading.Event()
    thread = threading.Thread(target=bench.worker.run, args=(stopping,), name="first")
    thread.start()
    assert bench.worker.settled.wait(5)
    try:
        yield bench
    finally:
        stopping.set()
        bench.worker.wake()
        thread.join(5)
        assert not thread.is_alive()


def test_an_answer_becomes_a_result_with_the_model_that_gave_it() -> None:
    with running(Bench(Played(answers))) as bench:
        result = bench.ask()
    assert (result.status, result.engine, result.model.name) == ("ok", "onnxruntime", "people")
    assert result.model.digest == MANIFEST.digest
    assert result.detections is not None
    assert result.detections[0].track == 1


def test_a_failed_inference_is_said_and_neither_ends_nor_counts_anything() -> None:
    broken = threading.Event()

    def sometimes(samples: Sequence[Any]) -> list[Answer | EngineError]:
        return [EngineError("the output holds NaN")] if broken.is_set() else answers(samples)

    with running(Bench(Played(sometimes), confirm=1, forget_s=0.05)) as bench:
        bench.ask()
        assert bench.events() == ["new"]
        broken.set()
        results = [bench.ask() for _ in range(2)]
        broken.clear()
        bench.ask()
    assert [result.status for result in results] == ["failed", "failed"]
    assert all(result.detections is None for result in results)
    assert bench.events() == ["new"]
    counts = [post.document for post in bench.posted if isinstance(post, Publish) and "count" in post.topic]
    assert counts == [{"count": 1}]


@pytest.mark.system
def test_a_model_that_keeps_failing_is_opened_again() -> None:
    with running(Bench(Played(lambda samples: [EngineError("broken")]))) as bench:
        for _ in range(3):
            bench.ask()
        until(lambda: bench.finds >= 2, 5)


def test_an_inference_that_takes_too_long_is_cancelled_and_has_failed() -> None:
    model = Played(lambda samples: [EngineError("cancelled")] if model.cancelled.wait(5) else answers(samples))
    with running(Bench(model, timeout_s=0.1)) as bench:
        bench.offer()
        until(lambda: _checked(bench) and model.cancelled.is_set())
        until(lambda: bench.results())
    assert bench.results()[0].status == "failed"
    assert bench.results()[0].reason == "people: no answer within 0.1 s"


def test_a_model_whose_first_inference_never_ends_is_cancelled_and_said_to_be_broken() -> None:
    class Endless(Played):
        def warm_up(self) -> None:
            assert self.cancelled.wait(5)
            raise EngineError("cancelled")

    bench = Bench(Endless(answers))
    stopping = threading.Event()
    thread = threading.Thread(target=bench.worker.run, args=(stopping,))
    thread.start()
    later_ns = time.monotonic_ns() + int((WARM_UP_S + 1) * 1e9)
    until(lambda: _checked(bench, later_ns) and bench.worker.settled.is_set())
    assert bench.worker.fault == "cancelled"
    stopping.set()
    bench.worker.wake()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.system
def test_without_its_model_a_pipeline_fails_in_words_and_recovers_when_it_comes() -> None:
    bench = Bench(Played(answers))
    bench.missing = True
    with running(bench):
        failed = bench.ask()
        assert (failed.status, failed.reason, failed.engine) == ("failed", "people: no such model", "none")
        bench.missing = False
        until(lambda: bench.worker.fault is None, 5)
        assert bench.ask().status == "ok"


def test_pipelines_that_share_an_engine_are_served_in_turn() -> None:
    def slow(samples: Sequence[Any]) -> list[Answer | EngineError]:
        threading.Event().wait(0.002)
        return answers(samples)

    with running(Bench(Played(slow), names=("a", "b", "c"))) as bench:
        until(lambda: _offer_all(bench) and len(bench.results("a")) >= 20, 10)
    served = [len(bench.results(name)) for name in ("a", "b", "c")]
    assert max(served) - min(served) <= 2  # samples are offered one pipeline after the other
    assert set(bench.model.batches) == {1}


def _offer_all(bench: Bench) -> bool:
    for position in range(len(bench.worker.pipelines)):
        bench.offer(position)
    return True


def _checked(bench: Bench, now_ns: int | None = None) -> bool:
    bench.worker.check(now_ns or time.monotonic_ns())
    return True


def test_samples_of_several_sources_share_a_run_when_asked_to() -> None:
    with running(Bench(Played(answers), names=("a", "b"), max_batch=2)) as bench:
        with bench.worker.ready:
            _offer_all(bench)
        until(lambda: bench.results("a") and bench.results("b"))
    assert bench.model.batches == [2]


def test_the_newest_sample_wins_and_the_lost_one_is_counted() -> None:
    busy, go_on = threading.Event(), threading.Event()

    def held(samples: Sequence[Any]) -> list[Answer | EngineError]:
        busy.set()
        go_on.wait(5)
        return answers(samples)

    with running(Bench(Played(held))) as bench:
        bench.offer()
        assert busy.wait(5)
        bench.offer()
        bench.offer()
        go_on.set()
        until(lambda: len(bench.results()) == 2)
    assert [result.seq for result in bench.results()] == [0, 2]
    assert bench.worker.pipelines[0].mailbox.dropped == 1


def test_an_every_pipeline_answers_every_sample_in_order() -> None:
    with running(Bench(Played(answers), every=True)) as bench:
        for _ in range(20):
            bench.offer()
        until(lambda: len(bench.results()) == 20)
    assert [result.seq for result in bench.results()] == list(range(20))


def test_no_more_inferences_than_asked_for() -> None:
    with running(Bench(Played(answers), max_per_s=1)) as bench:
        bench.ask()
        for _ in range(5):
            bench.offer()
    assert len(bench.results()) == 1


@pytest.mark.parametrize(("kept_as", "spooled"), [("live", False), ("spooled", True)])
def test_results_are_kept_only_when_asked_to(kept_as: str, spooled: bool) -> None:
    with running(Bench(Played(answers), results=kept_as)) as bench:
        bench.ask()
    first = next(post for post in bench.posted if isinstance(post.document, Result))
    assert isinstance(first, Spool) is spooled


@pytest.mark.system
def test_a_model_that_keeps_failing_is_opened_ever_more_rarely_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.pipeline.worker.RETRY_FIRST_S", 0.02)
    bench = Bench(Played(lambda samples: [EngineError("out of memory") for _ in samples]))
    faults: set[str | None] = set()

    def opened_often() -> bool:
        bench.offer()
        faults.add(bench.worker.fault)
        return len(bench.found_s) >= 8

    with running(bench):
        until(opened_often, 20)
    waits_s = [after - before for before, after in itertools.pairwise(bench.found_s)]
    assert waits_s[-1] > 2 * waits_s[0]
    assert "3 inferences in a row failed, the model is opened again: out of memory" in faults


@pytest.mark.parametrize("labels", [["person"], None])
def test_the_first_answer_tells_a_zero_for_what_the_configuration_names_once(labels: list[str] | None) -> None:
    nothing = Answer("detect", (), TIMES)
    with running(Bench(Played(lambda samples: [nothing for _ in samples]), labels=labels)) as bench:
        bench.ask()
        bench.ask()
    counts = [post.document for post in bench.posted if post.topic == "appliance/box/pipeline/p/count/person"]
    assert counts == ([{"count": 0}] if labels else [])


def test_a_model_of_disabled_pipelines_is_loaded_when_the_first_is_enabled() -> None:
    with running(Bench(Played(answers), names=("p", "q"), enabled=False)) as bench:
        assert bench.worker.engine == "none"
        assert "disabled" in (bench.worker.fault or "")
        assert bench.finds == 0
        bench.worker.pipelines[1].settings.enabled = True
        bench.worker.wake()
        until(lambda: bench.worker.engine == "onnxruntime")
        assert bench.ask(1).status == "ok"
        assert bench.finds == 1


def test_a_worker_that_waits_for_a_pipeline_to_be_enabled_can_be_stopped() -> None:
    with running(Bench(Played(answers), enabled=False)) as bench:
        pass
    assert bench.finds == 0


@pytest.mark.system
def test_a_worker_says_in_a_word_how_its_engine_is() -> None:
    bench = Bench(Played(lambda samples: [EngineError("out of memory") for _ in samples]))
    states = [bench.worker.state]
    bench.missing = True
    with running(bench):
        until(lambda: bench.worker.state == "missing")
        bench.missing = False
        until(lambda: bench.worker.state == "ready", 5)

        def failed_often() -> bool:
            bench.offer()
            return bench.worker.state == "broken"

        until(failed_often, 10)
    assert states == ["loading"]


def test_a_late_answer_is_published_as_such_and_changes_nothing_else() -> None:
    bench = Bench(Played(answers), confirm=1)
    stamp = Stamp.now()
    seen = Seen.of(Frame("dock", 7, stamp, picture(64, 48), ready_ns=stamp.mono_ns))
    model = ModelId("people", "3", "")
    done_ns = stamp.mono_ns + 60_000_000_000
    asked_ns = done_ns - 50_000_000
    late = Served(asked_ns, done_ns, "onnxruntime", model, "kept", "remote:s1", queue_ms=10.0, late=True)
    bench.pipelines[0].answered_late(seen, PERSON, late)
    [result] = [post.document for post in bench.posted]
    assert isinstance(result, Result)
    assert (result.status, result.late, result.answered_by, result.seq) == ("ok", True, "remote:s1", 7)
    assert result.latency_ms is not None
    assert result.latency_ms.total == pytest.approx(60_000)
    assert result.latency_ms.travel == pytest.approx(50 - 10 - 1.2)
    assert result.latency_ms.wait == pytest.approx(60_000 - 50 + 10)
