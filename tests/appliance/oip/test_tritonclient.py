"""NVIDIA's client with its defaults against our server: it knows the protocol by heart, and nothing of us."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from appliance.oip.serving import Addresses
from appliance.service.room import Standing
from engines.bundle import Bundle
from engines.engine import Array
from engines.onnxrt import OnnxEngine
from tests.appliance.oip.conftest import MODELS, offered, shipped
from tests.conftest import REPOSITORY
from tests.waiting import until

PROBE = Path(__file__).parent / "tritonclient_probe.py"
PYTHON = REPOSITORY / ".venv-clients" / "bin" / "python"
TRANSPORTS = ("http", "grpc")

pytestmark = [pytest.mark.peer, pytest.mark.system]


@dataclass(frozen=True)
class Probed:
    """What the client was told about one model."""

    said: Mapping[str, Any]
    arrays: Mapping[str, Array]
    expected: Mapping[str, Array]
    """What ONNX Runtime makes of the same inputs, asked directly."""
    standing: Standing


def _inputs(standing: Standing) -> dict[str, Array]:
    random = np.random.default_rng(0)
    return {
        spec.name: (random.random([size or 1 for size in spec.shape]) * (255 if spec.dtype.kind == "u" else 1)).astype(
            spec.dtype
        )
        for spec in standing.inputs
    }


def _directly(name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
    folder = next((REPOSITORY / "appliance" / "bundles" / name).iterdir())
    bundle = Bundle.open(folder)
    with OnnxEngine(bundle.stage_path(bundle.manifest.stages[0].name), threads=1) as engine:
        return engine.run(inputs)


@pytest.fixture(scope="module", params=MODELS)
def probed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Probed:
    """The probe's story of one model, in a room of its own: it unloads what it finds."""
    if not PYTHON.is_file():
        pytest.skip("tritonclient is not here: setup_clients in scripts/setup.sh makes .venv-clients")
    folder = tmp_path_factory.mktemp("probe")
    with shipped(folder / "library") as room, offered(room) as addresses:
        until(lambda: all(each.ready for each in room.models()), 20)
        [standing] = [each for each in room.models() if each.name == request.param]
        inputs = _inputs(standing)
        np.savez(folder / "in.npz", **inputs)  # type: ignore[arg-type]  # names are not allow_pickle
        said = _run(addresses, standing.name, folder)
    with np.load(folder / "out.npz") as file:
        arrays = {name: file[name] for name in file.files}
    return Probed(said, arrays, _directly(standing.name, inputs), standing)


def _run(addresses: Addresses, model: str, folder: Path) -> Any:
    where = (str(addresses.http), str(addresses.grpc))
    done = subprocess.run(
        [PYTHON, PROBE, *where, model, folder / "in.npz", folder / "out.npz"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_it_finds_the_server_and_the_model_ready(probed: Probed, transport: str) -> None:
    said = probed.said[transport]
    assert (said["live"], said["ready"], said["model ready"]) == (True, True, True)
    assert said["server metadata"]["name"] == "here"
    assert "binary_tensor_data" in said["server metadata"]["extensions"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_it_reads_names_types_and_shapes_of_the_tensors(probed: Probed, transport: str) -> None:
    metadata, standing = probed.said[transport]["model metadata"], probed.standing
    assert (metadata["name"], metadata["versions"]) == (standing.name, [standing.version])
    for kind, specs in (("inputs", standing.inputs), ("outputs", standing.outputs)):
        told = [(each["name"], [int(size) for size in each["shape"]]) for each in metadata[kind]]
        assert told == [(spec.name, [-1 if size is None else size for size in spec.shape]) for spec in specs]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_it_reads_the_configuration(probed: Probed, transport: str) -> None:
    config = probed.said[transport]["model config"]
    config = config.get("config", config)
    assert [each["name"] for each in config["input"]] == [spec.name for spec in probed.standing.inputs]
    assert config["input"][0]["data_type"] in ("TYPE_UINT8", "TYPE_FP32")


def test_the_tensors_are_those_of_the_network(probed: Probed) -> None:
    steps = {name.rpartition(" ")[0] for name in probed.arrays}
    wanted = {f"{transport} infer{after}" for transport in TRANSPORTS for after in ("", " after load")}
    assert steps == wanted | {"http infer json", "http infer gzip", "http infer deflate"}
    for name, array in probed.arrays.items():
        np.testing.assert_array_equal(array, probed.expected[name.rpartition(" ")[2]], err_msg=name)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("step", "status", "words"),
    [
        ("unknown model", ("404", "StatusCode.NOT_FOUND"), "nosuch"),
        ("unknown metadata", ("404", "StatusCode.NOT_FOUND"), "nosuch"),
        ("wrong shape", ("400", "StatusCode.INVALID_ARGUMENT"), "shape"),
        ("wrong type", ("400", "StatusCode.INVALID_ARGUMENT"), "FP64"),
        ("wrong name", ("400", "StatusCode.INVALID_ARGUMENT"), "nosuch"),
        ("infer after unload", ("503", "StatusCode.UNAVAILABLE"), "not loaded"),
    ],
)
def test_an_error_says_what_is_wrong(
    probed: Probed, transport: str, step: str, status: tuple[str, str], words: str
) -> None:
    told = probed.said[transport][step]
    assert told["status"] == status[TRANSPORTS.index(transport)]
    assert words in told["error"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_repository_lists_unloads_and_loads(probed: Probed, transport: str) -> None:
    said = probed.said[transport]
    index = said["index"]["models"] if transport == "grpc" else said["index"]
    assert {each["name"]: each["state"] for each in index} == dict.fromkeys(MODELS, "READY")
    assert (said["unload"], said["ready after unload"], said["load"]) == (None, False, None)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_statistics_count_what_was_asked(probed: Probed, transport: str) -> None:
    [stats] = probed.said[transport]["statistics"]["model_stats"]
    answered = {"http": 4, "grpc": 6}[transport]
    assert int(stats["inference_count"]) == answered
    assert int(stats["inference_stats"]["success"]["count"]) == answered
    assert int(stats["inference_stats"]["compute_infer"]["ns"]) > 0
    assert len(probed.said[transport]["all statistics"]["model_stats"]) == len(MODELS)
