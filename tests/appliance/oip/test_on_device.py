"""The appliance itself offers its models on loopback, beside its pipelines."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from appliance.catalogue import Catalogue
from tests.appliance.oip.caller import PICTURE, Caller, binary
from tests.appliance_process import ApplianceProcess
from tests.conftest import free_port
from tests.waiting import until

pytestmark = pytest.mark.system

PIPELINE = """
[[camera]]
name = "dock"
uri = "scene:shapes"
[[pipeline]]
name = "dock-shapes"
source = "dock"
model = "shapes"
engine = "onnxruntime"
"""


def _answers(port: int) -> bool:
    caller = Caller(f"127.0.0.1:{port}")
    try:
        return caller.ask("GET", "/v2/health/ready")[0] == 200
    except OSError:
        return False
    finally:
        caller.connection.close()


def test_it_answers_for_every_installed_model_and_loads_it_when_asked(tmp_path: Path) -> None:
    http, grpc = free_port(), free_port()
    config = f'[oip]\nhttp = "127.0.0.1:{http}"\ngrpc = "127.0.0.1:{grpc}"\n{PIPELINE}'
    with ApplianceProcess(tmp_path, config) as appliance:
        until(lambda: _answers(http), 20)
        caller = Caller(f"127.0.0.1:{http}")
        status, index = caller.ask("POST", "/v2/repository/index")
        states = {each["name"]: each["state"] for each in json.loads(index)}
        brought = {each.name for each in Catalogue.default(tmp_path).brought_along()}
        assert (status, states) == (200, dict.fromkeys(brought, "UNAVAILABLE"))
        assert json.loads(caller.ask("GET", "/v2")[1])["name"] == "box"
        status, answer = caller.infer({**binary(), "outputs": [{"name": "scores"}]}, PICTURE.tobytes())
        assert (status, answer["outputs"][0]["shape"]) == (200, [1, 2880, 3])
        caller.connection.close()
        appliance.send(signal.SIGTERM)
        assert appliance.ends() == 0


def test_an_address_that_is_taken_is_said_before_anything_starts(tmp_path: Path) -> None:
    port = free_port()
    config = f'[oip]\nhttp = "127.0.0.1:{port}"\ngrpc = "127.0.0.1:{port}"\n{PIPELINE}'
    with ApplianceProcess(tmp_path, config) as appliance:
        assert appliance.ends() != 0
        assert "[oip]: grpc" in appliance.log
        assert "cannot listen there" in appliance.log
