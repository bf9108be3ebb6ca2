"""Options and things that every test may ask for."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.waiting import until

REPOSITORY = Path(__file__).parent.parent
LEFT_TO_LONG = "takes minutes; run with --long"
"""Why a test marked `long` is skipped; scripts/torture tells it from a test that something is missing for."""

StandIn: TypeAlias = Callable[..., None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the long forms of the fault tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason=LEFT_TO_LONG))


@pytest.fixture
def long_run(request: pytest.FixtureRequest) -> bool:
    """True when the long form of a fault test is asked for."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of shared videos, images, speech and models; the test is skipped where it is absent."""
    folder = Path(os.environ.get("APPLIANCE_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}: set APPLIANCE_TEST_DATA to the folder that holds it")
    return folder


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """From now on microphones use the stand-in for sounddevice; its arguments say how it behaves."""
    shutil.copy(Path(__file__).parent / "stand_in_sounddevice.py", tmp_path / "sounddevice.py")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def behave(**wish: Any) -> None:
        monkeypatch.setenv("STAND_IN", json.dumps(wish))

    return behave


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Broker:
    """A real mosquitto of the test's own; `kill` is SIGKILL, `start` brings it back on the same port."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        user = "user root\n" if os.geteuid() == 0 else ""
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"{user}listener {self.port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n{settings}\n"
        )

    def start(self) -> None:
        log = (self._folder / "mosquitto.log").open("ab")
        with log:
            self._process = subprocess.Popen(["mosquitto", "-c", str(self._config)], stdout=log, stderr=log)
        until(self._answers, what="mosquitto answers")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "mosquitto.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def new_broker() -> type[Broker]:
    """The class of brokers; skipped where mosquitto is missing. Started brokers must be killed by the test."""
    if shutil.which("mosquitto") is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    return Broker


@pytest.fixture
def broker(new_broker: type[Broker], tmp_path: Path) -> Iterator[Broker]:
    """A running mosquitto on a free loopback port."""
    broker = new_broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()
