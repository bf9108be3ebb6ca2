"""The whole way round on a recording: harvest, distill, publish, shadow, active. The commands are those of
docs/harvest.md."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.harvest.colours import COLOURS, large, recording, small
from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.service_process import ServiceProcess
from tests.waiting import until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.system,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        importlib.util.find_spec("torch") is None, reason="PyTorch is not installed: the train extra has it"
    ),
]

RESULT = "pipeline/squares/result"
SAMPLES = 45


class Owner:
    """At the owner's machine, with commands only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples = folder / "harvest"
        self.registry = folder / "registry"
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "APPLIANCE_MODELS": str(folder / "library"),
            "APPLIANCE_REGISTRY_PASSPHRASE": "a passphrase for tests",
        }
        self._labels = folder / "labels.txt"
        self._labels.write_text("\n".join(COLOURS))

    def on_device(self, appliance: ApplianceProcess, *words: object) -> str:
        """A command about its models."""
        return self("models", "--folder", appliance.folder / "models", *words, "--config", appliance.path)

    def __call__(self, *words: object) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "appliance", *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            env=self._environment,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def add(self, path: Path, name: str, folder: Path | None = None) -> None:
        """To the owner's models, or to those in another folder."""
        at = ["--folder", folder] if folder else []
        words = ["--task", "classify", "--scale", "0..1", "--channels", "rgb", "--fit", "stretch", "--threshold", "0.3"]
        self("models", *at, "add", path, "--name", name, *words, "--labels", self._labels)

    def serve_registry(self) -> tuple[subprocess.Popen[str], str]:
        """Process and address; to be killed by whoever asked for it."""
        process = subprocess.Popen(
            [sys.executable, "-m", "appliance", "registry", "serve", str(self.registry), "--http", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        assert process.stdout is not None
        found = re.search(r"served at (http://\S+)", process.stdout.readline())
        assert found
        return process, found[1].rstrip("/.")

    def pictures(self) -> list[Path]:
        return sorted(self.samples.rglob("*.jpg"))


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    folder = tmp_path / "owner"
    folder.mkdir()
    return Owner(folder)


@pytest.fixture
def registry(owner: Owner) -> Iterator[str]:
    """Address of a registry in which nothing is published yet."""
    owner("registry", "init", owner.registry)
    process, url = owner.serve_registry()
    yield url
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def config(broker: Broker, film: Path, registry: str, root: Path) -> str:
    return f"""
[mqtt]
broker = "{broker.url}"
[models]
registry = "{registry}"
root = "{root}"
shadow_s = 5.0
shadow_samples = 72
probation_s = 2.0
slower = 500
[[camera]]
name = "table"
uri = "file:{film}"
fps = 10
loop = true
[[pipeline]]
name = "squares"
source = "table"
model = "colours"
timeout_s = 30.0
[pipeline.harvest]
unsure_between = [0.3, 0.7]
disagreed = true
offload = "frames"
apart_s = 0.2
leave_free_mb = 0
"""


def heard(ear: Ear, digest: str) -> list[str]:
    """The best labels of all results of this model."""
    results = [each for each in ear.documents(RESULT) if each["model"]["digest"] == digest]
    assert all(each["status"] == "ok" for each in results)
    return [max(each["labels"], key=lambda label: label["score"])["label"] for each in results]


def test_a_device_learns_from_what_it_was_unsure_of(
    broker: Broker, tmp_path: Path, owner: Owner, registry: str
) -> None:
    owner.add(small(tmp_path / "small.onnx"), "colours")
    owner.add(large(tmp_path / "large.onnx"), "colours-large")
    device = tmp_path / "device"
    device.mkdir()
    owner.add(tmp_path / "small.onnx", "colours", device / "models")
    film = recording(tmp_path / "recording.avi")
    told = config(broker, film, registry, owner.registry / "metadata" / "root.json")
    service = ServiceProcess(
        *(tmp_path, broker.url, "attic", "--model", "shapes", "--harvest", str(owner.samples)), module="appliance"
    )
    with Ear(broker.port) as ear, service, ApplianceProcess(device, told) as appliance:
        first = ear.await_document(RESULT, within_s=60, status="ok")["model"]["digest"]
        until(lambda: len(owner.pictures()) >= SAMPLES, 120, "samples are harvested and have come")
        assert "blue" not in heard(ear, first)

        said = owner(
            *("models", "distill", "colours", "--teacher", "colours-large"),
            *("--frames", owner.samples / "colours", "--rounds", 30, "--rate", 0.1, "--out", owner.folder / "report"),
        )
        found = re.search(r"colours 2: agreement with colours-large 1 on other frames: (\S+)% -> (\S+)%", said)
        assert found, said
        assert float(found[2]) > float(found[1])
        owner("registry", "publish", owner.registry, "colours@2")

        owner.on_device(appliance, "activate", "colours@2")
        second = json.loads(owner("models", "show", "colours", "--json"))["digest"]
        until(lambda: len(heard(ear, second)) >= 2 * 36, 120, "the new version answers")
        assert set(heard(ear, second)) == set(COLOURS)
        until(lambda: "kept" in owner.on_device(appliance, "history"), 60)
        appliance.send(signal.SIGTERM)
        assert appliance.ends() == 0
    lines = owner.on_device(appliance, "history")
    assert re.search(r"shadow: \d+% agreement", lines), lines
    disagreed = [path for path in owner.samples.rglob("*.json") if b'"disagreed"' in path.read_bytes()]
    assert disagreed, "what the new version in shadow said otherwise was harvested, too"
