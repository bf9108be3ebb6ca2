"""`appliance serve` in a process of its own, asked over a real broker."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest

from appliance.catalogue import Catalogue
from appliance.mqtt.topics import EVERY_SERVICE
from appliance.questions.question import Reply
from engines.engine import Array
from engines.model import Model
from engines.predictions import Answer
from scripts.benchmarks.crowd import Crowd, question_of
from tests.appliance.service.test_local import PICTURE, TONE
from tests.conftest import Broker
from tests.service_process import ServiceProcess
from tests.uplinks import Listener
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]


def predicted(name: str, sample: Array) -> Answer:
    with Model(Catalogue.default().shipped.find(name), engine="onnxruntime") as model:
        [answer] = model.predict([sample])
    assert isinstance(answer, Answer)
    return answer


def test_the_service_answers_as_the_device_would(broker: Broker, tmp_path: Path) -> None:
    jpeg = cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    seen = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    with (
        Listener(broker.port, EVERY_SERVICE) as listener,
        ServiceProcess(tmp_path, broker.url, "gpu-1", module="appliance") as service,
        Crowd("127.0.0.1", broker.port, ["dock"]) as crowd,
    ):
        service.await_ready(listener)
        announced = service.told(listener)[-1]
        assert {"shapes", "tones"} <= {model.name for model in announced.models}
        assert announced.models[0].digest.startswith("sha256:")
        questions = [
            crowd.ask("dock", "shapes", question_of("shapes", jpeg=jpeg), 5000.0),
            crowd.ask("dock", "tones", question_of("tones", sound=TONE), 5000.0),
        ]
        assert crowd.wait(questions, 6.0)
        said = [crowd.asked[question].answers[0][1] for question in questions]
        for reply, (name, sample) in zip(said, (("shapes", seen), ("tones", TONE)), strict=True):
            assert isinstance(reply, Reply), reply
            assert reply.answer is not None
            assert (reply.service, reply.engine, reply.model.name) == ("gpu-1", "onnxruntime", name)
            expected = predicted(name, np.asarray(sample))
            assert len(expected.predictions) == len(reply.answer.predictions) > 0
            assert [each.label for each in reply.answer.predictions] == [each.label for each in expected.predictions]
        assert service.stop() == 0


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "10000000")
        with ServiceProcess(tmp_path, broker.url, "gpu-1", "--model", "tones", module="appliance") as service:
            told = b""
            while b"READY=1" not in told:
                told = systemd.recv(1000)
            assert b"answers for tones" in told
            while told != b"WATCHDOG=1":
                told = systemd.recv(1000)
            os.kill(service.pid, signal.SIGTERM)
            while b"STOPPING=1" not in told:
                told = systemd.recv(1000)


def test_it_starts_without_a_broker_and_is_there_when_the_broker_is(new_broker: type[Broker], tmp_path: Path) -> None:
    broker = new_broker(tmp_path)
    with ServiceProcess(tmp_path, broker.url, "gpu-1", "--model", "tones", module="appliance") as service:
        until(lambda: "nobody listens there" in service.log, 30)
        broker.start()
        try:
            with Listener(broker.port, EVERY_SERVICE) as listener:
                service.await_ready(listener)
                assert service.stop() == 0
        finally:
            broker.kill()


def test_a_model_that_does_not_open_is_announced_with_its_reason_and_not_listened_for(
    broker: Broker, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(b"not a network")
    config = f'[[model]]\nname = "tones"\n[[model]]\nname = "damaged"\nbundle = "{damaged}"\n'
    with (
        Listener(broker.port, EVERY_SERVICE) as listener,
        ServiceProcess(tmp_path, broker.url, "gpu-1", module="appliance", config=config) as service,
    ):
        until(
            lambda: service.told(listener) and len([m for m in service.told(listener)[-1].models if m.fault]) == 1, 30
        )
        fault = service.told(listener)[-1].models[1].fault
        assert fault is not None
        assert "damaged.onnx" in fault
        until(lambda: service.told(listener)[-1].models[0].ready, 30)
        with Crowd("127.0.0.1", broker.port, ["dock"]) as crowd:
            good = crowd.ask("dock", "tones", question_of("tones", sound=TONE), 5000.0)
            assert crowd.wait([good], 6.0)
            assert crowd.asked[good].answered


def test_two_services_of_one_name_say_what_is_wrong(broker: Broker, tmp_path: Path) -> None:
    with (
        Listener(broker.port, EVERY_SERVICE) as listener,
        ServiceProcess(tmp_path, broker.url, "gpu-1", "--model", "tones", module="appliance") as service,
    ):
        service.await_ready(listener)
        (tmp_path / "second").mkdir()
        with ServiceProcess(tmp_path / "second", broker.url, "gpu-1", "--model", "tones", module="appliance") as second:
            until(lambda: "give each an id" in service.log + second.log, 60)


def test_rights_that_are_missing_are_named(new_broker: type[Broker], tmp_path: Path) -> None:
    rights = tmp_path / "rights"
    rights.write_text("topic write model-service/+/available\ntopic readwrite model-service/tones/#\n")
    rights.chmod(0o644)
    broker = new_broker(tmp_path, f"acl_file {rights}")
    broker.start()
    try:
        with ServiceProcess(tmp_path, broker.url, "gpu-1", "--model", "tones", module="appliance") as service:
            until(lambda: "answers for tones" in service.log, 30)
            with Crowd("127.0.0.1", broker.port, ["dock"]) as crowd:
                crowd.ask("dock", "tones", question_of("tones", sound=TONE), 5000.0)
                until(lambda: "appliance/dock/answer: the broker does not allow it" in service.log, 10)
            assert service.stop() == 0
    finally:
        broker.kill()
