"""A mosquitto of our own on loopback, for the demo: always the real broker, never an imitation.

No Python package carries a usable MQTT 5 broker (see docs/decisions/0004-demo-broker.md), so the demo starts mosquitto:
the one on PATH, or the one that scripts/demo unpacked beside the virtual environment.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

START_WITHIN_S = 5.0


class BrokerMissingError(Exception):
    """There is no mosquitto here, or it does not start; the message says what to do."""


class LocalBroker:
    """Opened with `with`; `url` is where it listens. Ends with the block."""

    def __init__(self) -> None:
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> LocalBroker:
        program, libraries = _find()
        self._folder = tempfile.TemporaryDirectory(prefix="appliance-broker-")
        port = _free_port()
        config = Path(self._folder.name) / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(f"{user}listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
        environment = dict(os.environ)
        if libraries is not None:
            environment["LD_LIBRARY_PATH"] = str(libraries)
        self._process = subprocess.Popen(
            [str(program), "-c", str(config)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._await(port)
        self.url = f"mqtt://127.0.0.1:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.communicate(timeout=START_WITHIN_S)
        if self._folder is not None:
            self._folder.cleanup()

    def _await(self, port: int) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_WITHIN_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                said = self._process.communicate()[0].decode("utf-8", "replace").strip()
                raise BrokerMissingError(f"mosquitto does not start: {said or 'no answer'}")
            time.sleep(0.02)


def _find() -> tuple[Path, Path | None]:
    """The program and, when it was unpacked beside the virtual environment, the folder of its libraries."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is not None:
        return Path(found), None
    unpacked = Path(sys.prefix) / "mosquitto"
    for program in unpacked.glob("usr/sbin/mosquitto"):
        library = next(iter(unpacked.glob("usr/lib/*/libmosquitto.so*")), None)
        return program, library.parent if library else None
    raise BrokerMissingError("mosquitto is not installed: apt-get install mosquitto (or run scripts/demo)")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
