"""One room, two doors: the same model asked over MQTT and over the Open Inference Protocol."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.mqtt.topics import EVERY_SERVICE
from appliance.questions.question import Reply
from scripts.benchmarks.crowd import Crowd, question_of
from tests.appliance.service.test_local import TONE
from tests.conftest import Broker, free_port
from tests.service_process import ServiceProcess
from tests.uplinks import Listener

pytestmark = [pytest.mark.broker, pytest.mark.system]


def rest(port: int, path: str, document: Any = None) -> Any:
    body = None if document is None else json.dumps(document).encode()
    address = f"http://127.0.0.1:{port}/v2/{path}"
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        text = response.read()
        return json.loads(text) if text else None


def test_both_doors_lead_to_the_same_model(broker: Broker, tmp_path: Path) -> None:
    port = free_port()
    config = f'[[model]]\nname = "tones"\n[oip]\nhttp = "127.0.0.1:{port}"\ngrpc = "off"\n'
    with (
        Listener(broker.port, EVERY_SERVICE) as listener,
        ServiceProcess(tmp_path, broker.url, "gpu-1", module="appliance", config=config) as service,
        Crowd("127.0.0.1", broker.port, ["dock"]) as crowd,
    ):
        service.await_ready(listener)
        spec = rest(port, "models/tones")["inputs"][0]
        sound = {"name": spec["name"], "datatype": "FP32", "shape": [1, 8000], "data": [float(each) for each in TONE]}
        over_rest = rest(port, "models/tones/infer", {"inputs": [sound]})["outputs"][0]["data"]
        payload = question_of("tones", sound=None, tensors={spec["name"]: TONE[None, :]}, decode=False)
        question = crowd.ask("dock", "tones", payload, 5000.0)
        assert crowd.wait([question], 6.0)
        reply = crowd.asked[question].answers[0][1]
        assert isinstance(reply, Reply)
        np.testing.assert_allclose(reply.tensors["scores"].ravel(), over_rest, rtol=1e-5)
        statistics = rest(port, "models/tones/stats")["model_stats"][0]
        assert statistics["inference_count"] == 2
        assert service.stop() == 0
