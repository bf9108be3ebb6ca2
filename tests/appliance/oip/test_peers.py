"""The back end against other serving engines: a real Triton and a real MLServer, on the processor.

They are heavy and in environments of their own (docs/inference-protocol.md): APPLIANCE_TEST_TRITON and
APPLIANCE_TEST_MLSERVER name their interpreters.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from appliance.oip.backend import Served
from appliance.oip.client import connect
from appliance.oip.engine import OipEngine
from engines.bundle import Bundle
from engines.engine import Array, EngineError
from engines.onnxrt import OnnxEngine
from engines.tensorrt.options import GpuOptions
from engines.tensorrt.recipe import recipe_of
from tests.appliance.oip.test_backend import _locally, _pictures, _predictions, _question
from tests.conftest import free_port
from tests.served_models import shipped
from tests.waiting import until

PEERS = Path(__file__).parent / "peers"
TRANSPORTS = ("http", "grpc")
READY_WITHIN_S = 60
ROUNDS = 100

pytestmark = [pytest.mark.peer, pytest.mark.long]


def _interpreter(variable: str, what: str) -> str:
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"no {what} here: set {variable} to a Python that has it (docs/inference-protocol.md)")
    return python


@contextmanager
def _running(command: list[str], folder: Path, urls: dict[str, str], model: str) -> Iterator[dict[str, str]]:
    """A server in a process group of its own, until it has the model ready over both transports."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)

    def ready() -> bool:
        assert process.poll() is None, (folder / "log").read_text()[-3000:]
        try:
            for url in urls.values():
                client = connect(url, 5)
                try:
                    client.model(model)
                finally:
                    client.close()
        except EngineError:
            return False
        return True

    try:
        until(ready, READY_WITHIN_S, f"{command[0]} has {model} ready")
        yield urls
    finally:
        # Triton's parent, told to stop, leaves its child behind; both die with their group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _triton(bundle: Bundle, folder: Path) -> Iterator[dict[str, str]]:
    python = _interpreter("APPLIANCE_TEST_TRITON", "Triton")
    http, grpc, metrics = free_port(), free_port(), free_port()
    network = bundle.stage_path(bundle.manifest.stages[0].name)
    command = [python, str(PEERS / "triton.py"), str(network), bundle.manifest.name, *map(str, (http, grpc, metrics))]
    urls = {"http": f"http://127.0.0.1:{http}", "grpc": f"grpc://127.0.0.1:{grpc}"}
    with _running(command, folder, urls, bundle.manifest.name) as found:
        yield found


@contextmanager
def _mlserver(bundle: Bundle, folder: Path) -> Iterator[dict[str, str]]:
    python = _interpreter("APPLIANCE_TEST_MLSERVER", "MLServer")
    http, grpc = free_port(), free_port()
    network = bundle.stage_path(bundle.manifest.stages[0].name)
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": free_port()}
    settings |= {"parallel_workers": 0, "grpc_max_message_length": 64 << 20}
    model = {"name": bundle.manifest.name, "implementation": "mlserver_runtime.Network"}
    (folder / "mlserver_runtime.py").write_text((PEERS / "mlserver_runtime.py").read_text())
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps({**model, "parameters": {"uri": str(network)}}))
    urls = {"http": f"http://127.0.0.1:{http}", "grpc": f"grpc://127.0.0.1:{grpc}"}
    with _running([str(Path(python).with_name("mlserver")), "start", "."], folder, urls, bundle.manifest.name) as found:
        yield found


@pytest.fixture(scope="module", params=[_triton, _mlserver], ids=["triton", "mlserver"])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Addresses of a server that runs the network of `shapes`, by transport."""
    with request.param(shipped("shapes"), tmp_path_factory.mktemp("peer")) as urls:
        yield urls


def _inputs(engine: OnnxEngine) -> dict[str, Array]:
    random = np.random.default_rng(0)
    return {spec.name: random.integers(0, 256, [n or 1 for n in spec.shape], np.uint8) for spec in engine.inputs}


def _there(url: str, bundle: Bundle) -> OipEngine:
    return OipEngine(url, "shapes", recipe_of(bundle, bundle.manifest.stages[0].name, GpuOptions()))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_tensors_are_those_of_the_network(peer: dict[str, str], transport: str) -> None:
    bundle = shipped("shapes")
    path = bundle.stage_path(bundle.manifest.stages[0].name)
    with OnnxEngine(path, threads=1) as here, _there(peer[transport], bundle) as there:
        inputs = _inputs(here)
        expected, answers = here.run(inputs), there.run(inputs)
        for name, array in expected.items():
            np.testing.assert_allclose(answers[name], array, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_predictions_are_those_of_the_network_in_this_process(peer: dict[str, str], transport: str) -> None:
    bundle, pictures = shipped("shapes"), _pictures(5)
    served = Served(lambda: bundle, peer[transport])
    served.open()
    try:
        answers = [_predictions(served.run([_question(bundle, picture)])[0]) for picture in pictures]
    finally:
        served.close()
    assert [[each.label for each in answer] for answer in answers] == [
        [each.label for each in answer] for answer in _locally(bundle, pictures)
    ]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_model_it_does_not_have_is_an_error_of_the_engine(peer: dict[str, str], transport: str) -> None:
    client = connect(peer[transport], 5)
    with pytest.raises(EngineError):
        client.model("nosuch")
    client.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_it_answers_a_hundred_times(peer: dict[str, str], transport: str) -> None:
    bundle = shipped("shapes")
    path = bundle.stage_path(bundle.manifest.stages[0].name)
    took = []
    with OnnxEngine(path, threads=1) as here, _there(peer[transport], bundle) as there:
        inputs = _inputs(here)
        for _ in range(ROUNDS):
            started = time.perf_counter()
            there.run(inputs)
            took.append((time.perf_counter() - started) * 1e3)
    took.sort()
    print(f"{peer[transport]}: p50 {took[ROUNDS // 2]:.1f} ms, p95 {took[int(ROUNDS * 0.95)]:.1f} ms")
    assert len(took) == ROUNDS
