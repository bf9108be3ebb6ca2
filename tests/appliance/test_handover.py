"""A whole appliance on the fake GPU (scripts/check_tensorrt): ONNX Runtime answers while the plan is built, then
TensorRT, and no sample goes without an answer.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.test_daemon import scene
from tests.appliance_process import ApplianceProcess, Ear
from tests.children import children
from tests.conftest import Broker
from tests.engines.tensorrt.on_fake_gpu import needs_fake_gpu
from tests.waiting import until

pytestmark = [
    needs_fake_gpu,
    pytest.mark.broker,
    pytest.mark.system,
]


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:
    with Ear(broker.port) as ear:
        yield ear


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "plans"
    monkeypatch.setenv("APPLIANCE_PLANS", str(folder))
    return folder


def test_onnxruntime_answers_until_the_plan_is_ready_and_then_tensorrt(
    broker: Broker, ear: Ear, plans: Path, tmp_path: Path
) -> None:
    with ApplianceProcess(tmp_path, scene(broker)) as appliance:
        ear.await_document("pipeline/shapes/result", within_s=15, status="ok", engine="onnxruntime")
        ear.await_document("pipeline/shapes/result", within_s=30, status="ok", engine="tensorrt")
        results = ear.documents("pipeline/shapes/result")
        assert {result["status"] for result in results} == {"ok"}
        seqs = [result["seq"] for result in results]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), "no picture goes without an answer"
        health = ear.await_document("box/health", within_s=40, status="ok")
        until(lambda: "predictions alike" in str(ear.documents("box/health")[-1]["plans"].get("shapes")), within_s=40)
        assert health["type"] == "health"
        assert "building its plan for the GPU; onnxruntime answers meanwhile" in appliance.log
        appliance.send(signal.SIGTERM)
        assert appliance.ends() == 0
    assert len(list(plans.glob("*.plan"))) == 1


def test_with_its_plan_in_the_cache_the_first_answer_is_tensorrts(
    broker: Broker, ear: Ear, plans: Path, tmp_path: Path
) -> None:
    with ApplianceProcess(tmp_path, scene(broker)):
        ear.await_document("pipeline/shapes/result", within_s=30, status="ok", engine="tensorrt")
    heard = len(ear.documents("pipeline/shapes/result"))
    with ApplianceProcess(tmp_path, scene(broker)):
        until(lambda: len(ear.documents("pipeline/shapes/result")) > heard, within_s=20)
        assert ear.documents("pipeline/shapes/result")[heard]["engine"] == "tensorrt"


def test_the_end_of_the_appliance_is_the_end_of_its_builder(broker: Broker, plans: Path, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker)) as appliance:
        until(lambda: "building its plan" in appliance.log, within_s=20)
        [builder] = until(lambda: children(appliance.pid), within_s=5)
        appliance.send(signal.SIGKILL)
        appliance.ends()
        until(lambda: not Path(f"/proc/{builder}").exists() or _zombie(builder), within_s=5, what="the builder ends")


def _zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_killed_at_any_moment_of_build_and_hand_over_the_next_start_is_right(
    broker: Broker, ear: Ear, plans: Path, tmp_path: Path, long_run: bool
) -> None:
    """The kill falls into the start, the build, the admission, the hand-over and the time after it."""
    turns = 100 if long_run else 8
    for turn in range(turns):
        for plan in plans.glob("*.plan"):
            plan.unlink()
        with ApplianceProcess(tmp_path, scene(broker)) as appliance:
            until(lambda appliance=appliance: "building its plan" in appliance.log, within_s=30)  # type: ignore[misc]
            threading.Event().wait(0.05 + 2.5 * turn / turns)
            appliance.send(signal.SIGKILL)
            appliance.ends()
        (tmp_path / "appliance.log").unlink()
        started = datetime.now(timezone.utc).isoformat()
        with ApplianceProcess(tmp_path, scene(broker)) as appliance:

            def answers(started: str = started) -> list[dict[str, Any]]:
                """Of the second start: what the killed one said may still be on its way."""
                return [each for each in ear.documents("pipeline/shapes/result") if each["captured_at"] > started]

            until(lambda answers=answers: [each for each in answers() if each["engine"] == "tensorrt"], within_s=40)  # type: ignore[misc]
            assert {each["status"] for each in answers()} == {"ok"}, f"turn {turn}"
            appliance.send(signal.SIGTERM)
            assert appliance.ends() == 0


def test_a_gpu_that_dies_ends_the_process_in_order_and_the_next_one_serves(
    broker: Broker, ear: Ear, plans: Path, tmp_path: Path
) -> None:
    appliance = ApplianceProcess(tmp_path, scene(broker))
    appliance.start(FAKECUDA_DIES_AFTER="60")
    try:
        code = appliance.ends(60)
        assert code not in (0, -signal.SIGABRT, -signal.SIGSEGV)
        assert "the GPU takes no more work from this process (CUDA 700)" in appliance.log
    finally:
        if appliance.running:
            os.kill(appliance.pid, signal.SIGKILL)
    heard = len(ear.documents("pipeline/shapes/result"))
    with ApplianceProcess(tmp_path, scene(broker)):
        until(
            lambda: any(each["engine"] == "tensorrt" for each in ear.documents("pipeline/shapes/result")[heard:]),
            within_s=40,
        )


def test_a_gpu_that_dies_again_and_again_is_left_alone_and_health_says_why(
    broker: Broker, ear: Ear, plans: Path, tmp_path: Path
) -> None:
    appliance = ApplianceProcess(tmp_path, scene(broker))
    for _ in range(3):
        appliance.start(FAKECUDA_DIES_AFTER="60")
        assert appliance.ends(60) != 0
    heard = len(ear.documents("pipeline/shapes/result"))
    with ApplianceProcess(tmp_path, scene(broker)):
        until(lambda: len(ear.documents("pipeline/shapes/result")) > heard + 20, within_s=30)
        results = ear.documents("pipeline/shapes/result")[heard:]
    assert {(result["engine"], result["status"]) for result in results} == {("onnxruntime", "ok")}


# -- by hand ----------------------------------------------------------------------------------------------------------


def appliance_command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "appliance", *words], capture_output=True, text=True, check=False)


def test_a_plan_is_built_by_hand_once_and_the_doctor_knows(plans: Path, tmp_path: Path) -> None:
    config = tmp_path / "a.toml"
    config.write_text(
        f"""
[device]
state_dir = "{tmp_path}"
[[camera]]
name = "dock"
uri = "scene:shapes"
[[pipeline]]
name = "p"
source = "dock"
model = "shapes"
"""
    )
    before = appliance_command("doctor", "--config", str(config)).stdout
    assert "plan: shapes: no plan has been built for this network on this machine yet" in before
    built = appliance_command("models", "build", "shapes")
    assert built.returncode == 0, built.stderr
    assert "shapes: built in" in built.stdout
    assert "predictions alike" in built.stdout
    again = appliance_command("models", "build", "--config", str(config))
    assert again.stdout.startswith("shapes: built already: fp")
    after = appliance_command("doctor", "--config", str(config)).stdout
    assert "✓ plan: shapes: fp" in after
    assert "✓ GPU: Fake GPU, compute capability 8.7, CUDA 13" in after
    assert "✓ TensorRT: tensorrt 10.3.0" in after


def test_building_a_model_that_nobody_has_is_a_sentence(plans: Path) -> None:
    done = appliance_command("models", "build", "nobody")
    assert done.returncode != 0
    assert "no such model" in done.stderr
    assert "Traceback" not in done.stderr
