"""A real appliance, a real broker and real model services, while one of them after the other lets the others down."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.appliance_process import Ear
from tests.conftest import Broker
from tests.sluggish import ServiceProcess, SluggishAppliance
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.system]

DEADLINE_S = 0.5
FRAME_S = 1 / 15
SLACK_S = 0.06
"""Between two results: what the broker, this test's client and a busy machine add to the distance."""
PAUSE = threading.Event()


def scene(broker: Broker, remote: str = "", pipeline: str = "") -> str:
    return f"""
[mqtt]
broker = "{broker.url}"
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 15
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
timeout_s = 10
{pipeline}
[pipeline.remote]
offload = "frames"
deadline_s = {DEADLINE_S}
{remote}
"""


class Stage:
    """An appliance at work, a service, and what a subscriber hears of the results."""

    def __init__(self, appliance: SluggishAppliance, service: ServiceProcess, ear: Ear) -> None:
        self.appliance = appliance
        self.service = service
        self.ear = ear

    @property
    def results(self) -> list[Any]:
        return self.ear.documents("pipeline/shapes/result")

    def longest_gap_s(self, since_s: float) -> float:
        arrivals_s = self.ear.arrivals_s("pipeline/shapes/result", since_s)
        return max(after - before for before, after in itertools.pairwise(arrivals_s))

    def sides(self, since_s: float = 0.0) -> list[str]:
        """Who answered, each run of the same in one word."""
        found = self.ear.documents("pipeline/shapes/result", since_s)
        names = ["failed" if each["status"] == "failed" else each["answered_by"].partition(":")[0] for each in found]
        return [name for name, _ in itertools.groupby(names)]

    def check_the_law(self) -> None:
        """No sample twice, none after a younger one, and what failed has no predictions."""
        numbers = [each["seq"] for each in self.results if not each.get("late")]
        assert len(numbers) == len(set(numbers))
        assert numbers == sorted(numbers)
        for each in self.results:
            assert (each["status"] == "failed") == ("detections" not in each), each


@contextmanager
def playing(tmp_path: Path, broker: Broker, config: str) -> Iterator[Stage]:
    """Both at work: the engine answers, and the service is known to the appliance."""
    with (
        Ear(broker.port) as ear,
        ServiceProcess(tmp_path, broker.url, "cellar", "shapes") as service,
        SluggishAppliance(tmp_path, config) as appliance,
    ):
        ear.await_payload("box/available", b"online", within_s=20)
        until(
            lambda: any(
                each["state"] == "online" and each["models"][0]["ready"] for each in ear.documents("cellar/available")
            ),
            20,
        )
        ear.await_document("pipeline/shapes/result", within_s=20, status="ok")
        PAUSE.wait(1.0)
        yield Stage(appliance, service, ear)


def test_a_stall_of_the_engine_is_bridged_by_the_service(broker: Broker, tmp_path: Path) -> None:
    with playing(tmp_path, broker, scene(broker)) as stage:
        begun_s = time.monotonic()
        PAUSE.wait(1.0)
        stage.appliance.slow("hang")
        PAUSE.wait(3.0)
        stage.appliance.slow("")
        until(lambda: stage.sides(begun_s)[-1] == "local", 10)
        PAUSE.wait(1.0)
        stage.check_the_law()
        assert stage.sides(begun_s) == ["local", "remote", "local"]
        assert stage.longest_gap_s(begun_s) <= DEADLINE_S
        asked = [each for each in stage.results if each["answered_by"] == "remote:cellar"]
        assert "the local engine took more than 0.25 s" in asked[0]["reason"]


def test_a_service_that_is_killed_costs_no_answer_while_the_engine_can_help(broker: Broker, tmp_path: Path) -> None:
    with playing(tmp_path, broker, scene(broker, 'prefer = "remote"')) as stage:
        begun_s = time.monotonic()
        until(lambda: stage.sides(begun_s) == ["remote"], 5)
        stage.service.kill()
        PAUSE.wait(1.5)
        stage.service.start()
        until(lambda: stage.sides(begun_s)[-1] == "remote" and len(stage.sides(begun_s)) > 1, 20)
        PAUSE.wait(0.5)
        stage.check_the_law()
        assert stage.sides(begun_s) == ["remote", "local", "remote"]
        assert stage.longest_gap_s(begun_s) <= DEADLINE_S


def test_a_service_that_becomes_slow_is_left_alone(broker: Broker, tmp_path: Path) -> None:
    with playing(tmp_path, broker, scene(broker, 'prefer = "remote"')) as stage:
        begun_s = time.monotonic()
        until(lambda: stage.sides(begun_s) == ["remote"], 5)
        stage.service.slow("2000")
        PAUSE.wait(3.0)
        stage.service.slow("")
        until(lambda: stage.sides(begun_s)[-1] == "remote", 20)
        stage.check_the_law()
        assert "failed" not in stage.sides(begun_s)
        assert "local" in stage.sides(begun_s)
        assert stage.longest_gap_s(begun_s) <= DEADLINE_S + SLACK_S


def test_without_a_broker_the_engine_goes_on_and_every_result_is_there_afterwards(
    broker: Broker, tmp_path: Path
) -> None:
    with playing(tmp_path, broker, scene(broker, 'prefer = "remote"', 'results = "spooled"')) as stage:
        until(lambda: stage.sides()[-1] == "remote", 10)
        broker.kill()
        PAUSE.wait(3.0)
        broker.start()
        cut = len(stage.results)
        until(lambda: "local" in stage.sides() and stage.sides()[-1] == "remote" and len(stage.results) > cut + 30, 30)
        results = {each["seq"]: each for each in stage.results}
    told = [results[number] for number in sorted(results)]
    names = [each["answered_by"].partition(":")[0] for each in told]
    assert [name for name, _ in itertools.groupby(names)][-3:] == ["remote", "local", "remote"]
    assert all(each["status"] == "ok" and "detections" in each for each in told)
    ends_s = [_captured_s(each) + each["latency_ms"]["total"] / 1000 for each in told]
    assert max(after - before for before, after in itertools.pairwise(ends_s)) <= DEADLINE_S
    assert max(each["latency_ms"]["total"] for each in told) <= DEADLINE_S * 1000


def _captured_s(result: Any) -> float:
    return datetime.fromisoformat(result["captured_at"].replace("Z", "+00:00")).timestamp()


def test_with_both_sides_dead_results_say_so_and_what_was_kept_is_answered_late(broker: Broker, tmp_path: Path) -> None:
    with playing(tmp_path, broker, scene(broker, "keep = 4")) as stage:
        begun_s = time.monotonic()
        stage.service.kill()
        stage.appliance.slow("hang")
        until(lambda: stage.sides(begun_s)[-1:] == ["failed"], 5)
        PAUSE.wait(3.0)
        assert stage.longest_gap_s(begun_s) <= DEADLINE_S + FRAME_S + SLACK_S
        dead_s = time.monotonic()
        stage.service.start()
        until(lambda: stage.sides(begun_s)[-1] == "remote", 20)
        stage.appliance.slow("")
        until(lambda: stage.sides(begun_s)[-1] == "local", 20)
        until(lambda: sum(bool(each.get("late")) for each in stage.results) == 4, 10)
        stage.check_the_law()
        failed = [each for each in stage.results if each["status"] == "failed"]
        late = [each for each in stage.results if each.get("late")]
        assert {each["seq"] for each in late} <= {each["seq"] for each in failed}
        assert all("detections" in each and each["answered_by"] == "remote:cellar" for each in late)
        assert all("local engine" in each["reason"] and "cellar" in each["reason"] for each in failed[3:])
        assert not [each for each in stage.ear.documents("pipeline/shapes/event", begun_s) if "late" in each["reason"]]
        assert stage.longest_gap_s(dead_s) <= DEADLINE_S + FRAME_S + SLACK_S


def test_health_tells_who_answers_and_why(broker: Broker, tmp_path: Path) -> None:
    with playing(tmp_path, broker, scene(broker)) as stage:
        stage.appliance.slow("hang")
        until(lambda: stage.sides()[-1] == "remote", 5)
        words = "shapes: the service answers: the local engine took more than 0.25 s"
        status = until(lambda: _health_with(stage.ear, words), 20)
        routed = status["pipelines"]["shapes"]["remote"]
        assert routed["side"] == "remote"
        assert routed["service"] == "cellar online"
        assert routed["breaker"] == "closed"
        assert routed["trusted"] is False
        assert routed["decisions"]["local: healthy"] > 0
        assert routed["decisions"]["remote: over budget"] > 0
        assert status["remote"]["connected"] is True
        assert status["remote"]["answered"] > 0
        assert status["status"] == "degraded"


def _health_with(ear: Ear, words: str) -> Any:
    return next((each for each in ear.documents("box/health") if words in each["reasons"]), None)


def sound(broker: Broker, recording: Path, place: str) -> str:
    return f"""
[mqtt]
broker = "{broker.url}"
[[microphone]]
name = "hall"
uri = "wav:{recording}"
loop = true
[[pipeline]]
name = "tones"
source = "hall"
model = "tones"
[pipeline.remote]
offload = "frames"
deadline_s = {DEADLINE_S}
place = {place}
"""


def test_the_stage_of_a_model_of_sound_runs_at_the_service_and_fails_without_it(broker: Broker, tmp_path: Path) -> None:
    config = sound(broker, _recording(tmp_path), '{ main = "remote" }')
    with (
        Ear(broker.port) as ear,
        ServiceProcess(tmp_path, broker.url, "cellar", "tones") as service,
        SluggishAppliance(tmp_path, config),
    ):
        ear.await_document("tones/result", within_s=30, answered_by="remote:cellar", status="ok")
        service.kill()
        killed_s = time.monotonic()
        ear.await_document("tones/result", killed_s, within_s=10, status="failed")
        service.start()
        ear.await_document("tones/result", time.monotonic(), within_s=40, answered_by="remote:cellar", status="ok")


def test_sound_that_may_go_either_way_stays_on_the_device_without_a_service(broker: Broker, tmp_path: Path) -> None:
    config = sound(broker, _recording(tmp_path), '"auto"')
    with (
        Ear(broker.port) as ear,
        ServiceProcess(tmp_path, broker.url, "cellar", "tones") as service,
        SluggishAppliance(tmp_path, config),
    ):
        until(lambda: len([each for each in ear.documents("tones/result") if each["status"] == "ok"]) > 10, 30)
        service.kill()
        PAUSE.wait(1.0)
        killed_s = time.monotonic()
        until(lambda: len(ear.documents("tones/result", killed_s)) > 10, 20)
        last = ear.documents("tones/result", killed_s)[-5:]
        assert {(each["status"], each["answered_by"]) for each in last} == {("ok", "local")}


def _recording(folder: Path) -> Path:
    import numpy as np
    import soundfile  # type: ignore[import-untyped]  # it has no types

    soundfile.write(folder / "hum.wav", np.random.default_rng(0).standard_normal(160_000) * 0.1, 16_000)
    return folder / "hum.wav"


def test_a_reload_begins_and_ends_asking_and_a_stop_is_quick(broker: Broker, tmp_path: Path) -> None:
    plain = scene(broker).partition("[pipeline.remote]")[0]
    with playing(tmp_path, broker, plain) as stage:
        assert stage.sides() == ["local"]
        threads = stage.appliance.threads()
        stage.appliance.write(scene(broker, 'prefer = "remote"'))
        stage.appliance.send(signal.SIGHUP)
        until(lambda: stage.sides()[-1] == "remote", 15)
        stage.appliance.write(plain)
        stage.appliance.send(signal.SIGHUP)
        until(lambda: stage.sides()[-1] == "local", 15)
        until(lambda: stage.appliance.threads() == threads, 10, "as many threads as before")
        stage.appliance.write(scene(broker, 'prefer = "remote"'))
        stage.appliance.send(signal.SIGHUP)
        until(lambda: stage.sides()[-1] == "remote", 15)
        asked_s = time.monotonic()
        stage.appliance.send(signal.SIGTERM)
        assert stage.appliance.ends() == 0
        assert time.monotonic() - asked_s < 4
        assert "did not stop" not in stage.appliance.log
