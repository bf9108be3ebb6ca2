"""Model services as docs/deploy runs them: on a broker with TLS and rights, offering models and metrics over TLS."""

from __future__ import annotations

import json
import os
import queue
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from appliance.broker_folder.client import PLACE
from appliance.questions import codec
from appliance.questions.question import Refused, Reply
from appliance.service.metrics import CONTENT_TYPE
from tests.appliance_process import ApplianceProcess
from tests.conftest import REPOSITORY, free_port
from tests.model_services import asked, asking
from tests.secured_broker import DENIED, SecuredBroker, command, needed
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]

TOKEN = "0123456789abcdef"  # the test's own


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """With two devices, a viewer, and a name for services that replicas share."""
    needed("mosquitto", "openssl")
    made = SecuredBroker(tmp_path_factory.mktemp("secured") / "broker")
    made.add("device", "dock-1", "dock-2", "box")
    made.add("viewer", "board")
    command("add-service", made.folder, "brains", "--replicas", "--host", "localhost")
    with made:
        yield made


class Service:
    """A real `appliance serve` on the files of `brains`; `http` is its port."""

    def __init__(self, broker: SecuredBroker, name: str, folder: Path) -> None:
        self.name, self.http = name, free_port()
        self.samples = folder / f"samples of {name}"
        files = broker.of("brains")
        (files / "token").write_text(TOKEN + "\n")
        text = (files / "mqtt.toml").read_text().replace(PLACE, str(files))
        text = text.replace("0.0.0.0:8000", f"127.0.0.1:{self.http}").replace("0.0.0.0:8001", "off")
        text = text.replace("[serve]", f'[serve]\nid = "{name}"')
        self._config = folder / f"{name}.toml"
        self._config.write_text(
            f'{text}\n[[model]]\nname = "shapes"\n[harvest]\nfolder = "{self.samples}"\nleave_free_mb = 0\n'
        )
        self._log = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Service:
        words = [sys.executable, "-m", "appliance", "serve", "--config", str(self._config)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(20)

    @property
    def log(self) -> str:
        return self._log.read_text()


@pytest.fixture(scope="module")
def services(broker: SecuredBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    """Two that share the questions, both announced."""
    folder = tmp_path_factory.mktemp("services")
    with Service(broker, "x1", folder) as one, Service(broker, "x2", folder) as two, broker.client("board") as board:
        board.subscribe("model-service/+/available")

        def announced() -> bool:
            return all(b'"ready":true' in board.last(f"model-service/{name}/available") for name in ("x1", "x2"))

        until(announced, 60, f"announcements; {one.log}")
        yield [one, two]


def _ask(broker: SecuredBroker, device: str, count: int) -> list[Reply | Refused]:
    """What a device hears on `count` questions with a grey picture, one after the other."""
    jpeg = cv2.imencode(".jpg", np.full((360, 640, 3), 90, np.uint8))[1].tobytes()
    files, heard = broker.of(device), queue.Queue[Reply | Refused]()
    secured: dict[str, Any] = {
        "ca_file": files / "trusted.crt",
        "cert_file": files / f"{device}.crt",
        "key_file": files / f"{device}.key",
    }
    with asking(f"mqtts://localhost:{broker.port}", **secured) as asker:
        until(lambda: len(asker.standing("shapes").offers) == 2, 10, "both services are known")
        outcomes = []
        for _ in range(count):
            question = replace(asked(20.0)[0], model="shapes", first=None, tensors={})
            asker.ask(question, codec.encode_question(question, jpeg=jpeg), heard.put)
            outcomes.append(heard.get(timeout=25))
        return outcomes


def test_a_device_s_questions_are_answered_by_both_of_two_services_that_share_a_name(
    broker: SecuredBroker, services: list[Service]
) -> None:
    replies = _ask(broker, "dock-1", 20)
    assert all(isinstance(reply, Reply) for reply in replies), replies[:3]
    assert {reply.service for reply in replies if isinstance(reply, Reply)} == {one.name for one in services}


REMOTE = """
[[camera]]
name = "scene"
uri = "scene:shapes"
fps = 10

[[pipeline]]
name = "shapes"
source = "scene"
model = "shapes"

[pipeline.remote]
offload = "frames"
prefer = "remote"
deadline_s = 5.0
"""


def test_an_appliance_asks_them_under_its_own_name(
    broker: SecuredBroker, services: list[Service], tmp_path: Path
) -> None:
    lines = (broker.of("box") / "mqtt.toml").read_text().replace(PLACE, str(broker.of("box")))
    with broker.client("board") as board, ApplianceProcess(tmp_path, f"{lines}\n{REMOTE}") as appliance:
        board.subscribe("appliance/box/pipeline/shapes/result")

        def answered_by() -> set[str]:
            return {json.loads(payload)["answered_by"] for _, payload in board.heard}

        until(lambda: {f"remote:{one.name}" for one in services} <= answered_by(), 40, f"both; {appliance.log}")


HARVEST = """
[[camera]]
name = "scene"
uri = "scene:shapes"
fps = 10

[[pipeline]]
name = "shapes"
source = "scene"
model = "shapes"

[pipeline.harvest]
unsure_between = [0.0, 1.0]
offload = "frames"
apart_s = 0.5
leave_free_mb = 0
"""


def test_kept_samples_come_to_one_of_them_and_to_nobody_else(
    broker: SecuredBroker, services: list[Service], tmp_path: Path
) -> None:
    lines = (broker.of("box") / "mqtt.toml").read_text().replace(PLACE, str(broker.of("box")))

    def come() -> list[str]:
        return [path.name for service in services for path in service.samples.glob("shapes/box/*.jpg")]

    with broker.client("dock-2") as thief, ApplianceProcess(tmp_path, f"{lines}\n{HARVEST}") as appliance:
        thief.subscribe("model-harvest/#", "$share/services/model-harvest/sample/+", "appliance/box/harvest/said")
        assert thief.publish("model-harvest/sample/box", b"forged") == DENIED
        assert thief.publish("appliance/box/harvest/said", b"{}") == DENIED
        until(lambda: len(come()) >= 4, 60, f"samples; {appliance.log}")
        assert not thief.heard
    assert len(set(come())) == len(come())


def test_the_group_is_known_to_the_services_alone(broker: SecuredBroker, services: list[Service]) -> None:
    text = (broker.of("brains") / "mqtt.toml").read_text()
    group = next(line for line in text.splitlines() if line.startswith("group = ")).split('"')[1]
    with broker.client("board") as board:
        board.subscribe("#")
        until(lambda: len(board.heard) >= 2)
        assert not any(group.encode() in payload for _, payload in board.heard)
    assert group not in services[0].log
    status, _, body = _get(services[0], broker, "/metrics", TOKEN)
    assert status == 200
    assert group not in body


def test_a_thief_among_the_devices_takes_no_question(broker: SecuredBroker, services: list[Service]) -> None:
    with broker.client("dock-2") as thief:
        thief.subscribe("$share/services/model-service/shapes/infer/+", "model-service/shapes/infer/+", "#")
        replies = _ask(broker, "dock-1", 10)
        assert [type(reply) for reply in replies] == [Reply] * 10
        assert not any("infer" in topic or topic.endswith("answer") for topic in thief.topics())


def _get(service: Service, broker: SecuredBroker, path: str, token: str = "") -> tuple[int, str, str]:
    """Status, type and body, of a server whose certificate is looked at."""
    context = ssl.create_default_context(cafile=broker.of("board") / "trusted.crt")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://localhost:{service.http}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return answer.status, answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", ""


def test_metrics_are_for_the_bearer_of_the_token(broker: SecuredBroker, services: list[Service]) -> None:
    assert _get(services[0], broker, "/metrics")[0] == 401
    assert _get(services[0], broker, "/metrics", "wrong")[0] == 401
    _ask(broker, "dock-1", 4)
    told = [_get(service, broker, "/metrics", TOKEN) for service in services]
    assert {(status, kind) for status, kind, _ in told} == {(200, CONTENT_TYPE)}
    for _, _, body in told:
        assert 'appliance_service_model_ready{engine="onnxruntime",model="shapes"} 1.0' in body
        assert "appliance_service_broker_connected 1.0" in body
    assert sum(_value(body, "appliance_service_answers_sent_total") for _, _, body in told) >= 4


def _value(body: str, name: str) -> float:
    return next(float(line.split()[1]) for line in body.splitlines() if line.startswith(f"{name} "))


def test_the_container_s_health_check_believes_the_service(broker: SecuredBroker, services: list[Service]) -> None:
    words = [sys.executable, str(REPOSITORY / "docs" / "deploy" / "healthcheck.py")]
    for authority, content in (
        (broker.of("brains") / "trusted.crt", True),
        (broker.of("brains") / "brains.crt", False),
    ):
        environment = {
            "HEALTH_URL": f"https://localhost:{services[0].http}/v2/health/ready",
            "HEALTH_CA_FILE": str(authority),
        }
        done = subprocess.run(words, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == content, done.stderr
