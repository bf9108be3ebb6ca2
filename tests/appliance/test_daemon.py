"""A real appliance in a process of its own, a real broker, and a subscriber."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from appliance import asyncapi
from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]


def scene(broker: Broker, more: str = "", pipeline: str = "") -> str:
    return f"""
[mqtt]
broker = "{broker.url}"
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 10
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
{pipeline}
{more}
"""


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:
    with Ear(broker.port) as ear:
        yield ear


def test_results_events_counts_and_health_come_out(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker)):
        ear.await_payload("box/available", b"online", within_s=15)
        result = ear.await_document("pipeline/shapes/result", within_s=15, status="ok")
        assert result["source"] == "dock"
        assert result["model"]["name"] == "shapes"
        assert result["detections"]
        assert set(result["latency_ms"]) == {"capture", "wait", "prepare", "infer", "decode", "total"}
        event = ear.await_document("pipeline/shapes/event", within_s=10, event="new")
        assert event["spool"]["stream"] == "shapes"
        assert event["after"]["label"] in ("red", "green", "blue")
        until(lambda: [h for h in ear.documents("box/health") if h["sources"]["dock"]["status"] == "online"], 10)
        assert ear.documents("box/health")[-1]["status"] == "ok"
        assert ear.await_document("box/info")["pipelines"]["shapes"]["model"] == "shapes"
        until(lambda: [t for t in ear.documents("count/red") if t["count"] >= 1])
        ear.await_payload("source/dock/available", b"online")
        with Ear(broker.port) as newcomer:
            assert newcomer.await_document("source/dock/state") == {"enabled": True}
            assert newcomer.await_document("pipeline/shapes/state")["enabled"] is True


def test_the_broker_keeps_what_is_published_where_and_watch_tells_it(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    watch = [sys.executable, "-m", "appliance", "watch", "--broker", broker.url, "--schema"]
    with ApplianceProcess(tmp_path, scene(broker)):
        kept = ear.await_document("box/schema", within_s=15)
        done = subprocess.run([*watch, "--device", "box"], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(done.stdout) == kept == asyncapi.document("appliance", "box")
    nobody = subprocess.run([*watch, "--device", "nobody", "--for", "0.5"], capture_output=True, text=True, check=False)
    assert nobody.returncode == 1
    assert "appliance/nobody/schema: the broker keeps nothing there" in nobody.stderr


def test_events_of_one_life_share_an_id_and_a_stream_has_no_holes(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker, pipeline="update_s = 0.5")):
        until(lambda: len(ear.documents("shapes/event")) >= 15, 20)
        events = ear.documents("shapes/event")
    assert [event["spool"]["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len({event["spool"]["epoch"] for event in events}) == 1
    first: dict[str, str] = {}
    for event in events:
        assert first.setdefault(event["id"], event["event"]) == "new"


def test_it_stops_in_order_on_sigterm(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker)) as appliance:
        ear.await_document("pipeline/shapes/result", within_s=15)
        appliance.send(signal.SIGTERM)
        assert appliance.ends() == 0
        ear.await_payload("box/available", b"stopped")
        assert "left behind" not in appliance.log


def test_a_pipeline_is_disabled_enabled_and_tuned_by_commands(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker)):
        ear.await_document("pipeline/shapes/result", within_s=15)
        ear.say("appliance/box/pipeline/shapes/set", {"enabled": False})
        ear.await_document("pipeline/shapes/state", enabled=False)
        quiet_s = time.monotonic() + 0.5
        until(lambda: time.monotonic() > quiet_s + 0.5)
        assert ear.payloads("shapes/result", quiet_s) == []
        ear.say("appliance/box/pipeline/shapes/set", {"enabled": True, "threshold": 1.0})
        ear.await_document("pipeline/shapes/state", enabled=True, threshold=1.0)
        ear.await_document("shapes/result", time.monotonic(), detections=[])


def test_a_source_is_closed_and_opened_by_command(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker)):
        ear.await_payload("source/dock/available", b"online", within_s=15)
        ear.say("appliance/box/source/dock/set", {"enabled": False})
        ear.await_payload("source/dock/available", b"disabled")
        since_s = time.monotonic()
        ear.say("appliance/box/source/dock/set", {"enabled": True})
        ear.await_payload("source/dock/available", b"online", since_s)


def test_a_request_is_answered_on_its_own_response_topic(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker)):
        ear.await_document("pipeline/shapes/result", within_s=15)
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's own gap
        properties.ResponseTopic = "answers/me"
        properties.CorrelationData = b"42"
        answers: list[mqtt.MQTTMessage] = []
        ear.client.message_callback_add("answers/me", lambda _client, _data, message: answers.append(message))
        ear.client.publish("appliance/box/request/status", b"", qos=1, properties=properties).wait_for_publish(5)
        until(lambda: answers)
        answered: Any = answers[0].properties
        assert answered.CorrelationData == b"42"
        ear.say("appliance/box/request/status", {"transaction": "t-7"})
        response = ear.await_document("box/response/status", transaction="t-7")
        assert response["status"] == "ok"
        assert response["data"]["sources"]["dock"]["status"] == "online"


def test_what_cannot_be_obeyed_is_refused_in_words(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker)):
        ear.await_document("pipeline/shapes/result", within_s=15)
        ear.say("appliance/box/pipeline/none/set", {"enabled": False})
        assert "no pipeline none; known: shapes" in ear.await_document("response/set", status="error")["error"]
        ear.say("appliance/box/request/fly", {})
        assert "no request fly" in ear.await_document("response/fly", status="error")["error"]
        ear.say("appliance/box/request/install", {"data": {"model": "shapes"}})
        assert "has no [models]" in ear.await_document("response/install", status="error")["error"]


def test_a_snapshot_is_published_when_asked_for(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker)):
        ear.await_document("pipeline/shapes/result", within_s=15)
        ear.say("appliance/box/request/snapshot", {"data": {"pipeline": "shapes"}})
        until(lambda: ear.payloads("shapes/snapshot"))
        assert ear.payloads("shapes/snapshot")[0].startswith(b"\xff\xd8")


def test_sighup_applies_a_new_file_and_names_what_needs_a_restart(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker)) as appliance:
        ear.await_document("pipeline/shapes/result", within_s=15)
        second = '[[camera]]\nname = "yard"\nuri = "scene:shapes"\nfps = 5\n[outbox]\nmax_mb = 64\n'
        appliance.write(scene(broker).replace('"dock"', '"gate"') + second)
        appliance.send(signal.SIGHUP)
        ear.await_payload("source/gate/available", b"online", within_s=10)
        ear.await_payload("source/yard/available", b"online", within_s=10)
        ear.await_payload("source/dock/available", b"", within_s=10)
        health = ear.await_document("box/health", within_s=10, restart_required=["outbox"])
        assert set(health["sources"]) == {"gate", "yard"}
        ear.await_document("pipeline/shapes/result", within_s=10, source="gate")


def test_a_reload_of_a_broken_file_changes_nothing(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker)) as appliance:
        ear.await_document("pipeline/shapes/result", within_s=15)
        appliance.write("[[camera]]\nname = 1\n")
        appliance.send(signal.SIGHUP)
        until(lambda: "reload refused" in appliance.log)
        ear.await_document("pipeline/shapes/result", time.monotonic(), status="ok")


def test_systemd_hears_ready_after_the_first_inference_and_then_progress(
    broker: Broker, ear: Ear, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(15)
        appliance = ApplianceProcess(tmp_path, scene(broker))
        appliance.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="15000000")
        try:
            said = _hear(systemd, b"READY=1")
            assert b"STATUS=" in said
            assert _hear(systemd, b"WATCHDOG=1")
            appliance.send(signal.SIGTERM)
            assert _hear(systemd, b"STOPPING=1")
            assert appliance.ends() == 0
        finally:
            appliance.__exit__(None, None, None)


def _hear(systemd: socket.socket, wanted: bytes) -> bytes:
    """The next message that holds `wanted`; fails after the socket's time-out."""
    while True:
        said = systemd.recv(4096)
        if wanted in said:
            return said


TROUBLES: dict[str, dict[str, Any]] = {
    "a camera that is not there": {
        "camera": 'uri = "camera:97"',
        "model": "shapes",
        "words": "97",
    },
    "a camera server that does not answer": {
        "camera": 'uri = "rtsp://127.0.0.1:9/cam"',
        "model": "shapes",
        "words": "127.0.0.1:9",
    },
    "a video that is not one": {"camera": 'uri = "file:{folder}/half.mp4"', "model": "shapes", "words": "half.mp4"},
    "a model that is not there": {"camera": 'uri = "scene:shapes"', "model": "nobody", "words": "nobody"},
    "a model that is not ONNX": {"camera": 'uri = "scene:shapes"', "model": "{folder}/bad.onnx", "words": "bad.onnx"},
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_in_one_place_is_told_and_the_rest_goes_on(
    trouble: str, broker: Broker, ear: Ear, tmp_path: Path
) -> None:
    (tmp_path / "half.mp4").write_bytes(os.urandom(5000))
    (tmp_path / "bad.onnx").write_bytes(os.urandom(5000))
    wrong = TROUBLES[trouble]
    more = f"""
[[camera]]
name = "wrong"
{wrong["camera"].format(folder=tmp_path)}
[[pipeline]]
name = "wrong"
source = "wrong"
model = "{wrong["model"].format(folder=tmp_path)}"
"""
    with ApplianceProcess(tmp_path, scene(broker, more)) as appliance:
        health = ear.await_document("box/health", within_s=20, status="degraded")
        assert any(wrong["words"] in reason for reason in health["reasons"]), health["reasons"]
        ear.await_document("pipeline/shapes/result", time.monotonic(), within_s=10, status="ok")
        assert appliance.running
        if wrong["model"] != "shapes":
            failed = ear.await_document("pipeline/wrong/result", within_s=10, status="failed")
            assert "detections" not in failed
            assert wrong["words"] in failed["reason"]


def test_it_works_without_a_broker_and_publishes_once_there_is_one(new_broker: type[Broker], tmp_path: Path) -> None:
    late = new_broker(tmp_path)
    with ApplianceProcess(tmp_path, scene(late)) as appliance:
        until(lambda: "ready after" in appliance.log, 15)
        late.start()
        try:
            with Ear(late.port) as ear:
                ear.await_payload("box/available", b"online", within_s=8)
                ear.await_document("pipeline/shapes/event", within_s=8, event="new")
        finally:
            late.kill()


def test_it_ends_by_itself_after_the_time_asked_for(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    appliance = ApplianceProcess(tmp_path, scene(broker))
    done = subprocess.run(
        [sys.executable, "-m", "appliance", "run", "--config", str(appliance.path), "--for", "2"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ear.documents("pipeline/shapes/result")


def test_a_broken_configuration_ends_with_code_2_and_a_sentence(tmp_path: Path) -> None:
    appliance = ApplianceProcess(tmp_path, '[[camera]]\nname = "a"\n')
    appliance.start()
    assert appliance.ends() == 2
    assert "[[camera]] a: uri is missing" in appliance.log


def test_a_second_appliance_on_the_same_state_says_so(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker)) as first:
        ear.await_document("pipeline/shapes/result", within_s=15)
        second = ApplianceProcess(tmp_path, scene(broker))
        second.start()
        assert second.ends() != 0
        assert first.running


def test_a_disabled_pipeline_loads_its_model_when_a_command_enables_it(
    broker: Broker, ear: Ear, tmp_path: Path
) -> None:
    with ApplianceProcess(tmp_path, scene(broker, pipeline="enabled = false")) as appliance:
        health = ear.await_document("box/health", within_s=15, status="ok")
        assert health["pipelines"]["shapes"]["reason"] == "not loaded: its pipelines are disabled"
        assert "onnxruntime_pybind11" not in Path(f"/proc/{appliance.pid}/maps").read_text()
        ear.say("appliance/box/pipeline/shapes/set", {"enabled": True})
        ear.await_document("pipeline/shapes/result", within_s=15, status="ok")
        ear.await_document("box/health", time.monotonic() - 0.5, within_s=15, status="ok")
        assert "failed" not in [health["status"] for health in ear.documents("box/health")]
