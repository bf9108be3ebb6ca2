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

from appliance.leash import leashed

START_WITHIN_S = 5.0
STOP_WITHIN_S = 5.0


class BrokerMissingError(Exception):
    """There is no mosquitto here, or it does not start; the message says what to do."""


class _ConfinedError(BrokerMissingError):
    """It may not read our file: Ubuntu, from 25.04 on, lets it read those of its own folder only (AppArmor)."""


class LocalBroker:
    """Opened with `with`; `url` is where it listens. Ends with the block, with the thread that opened it if that comes
    first, and not by a Ctrl-C on our terminal."""

    def __init__(self, program: Path | None = None) -> None:
        """`program` is the mosquitto to start; the one of this machine by default."""
        self.url = ""
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> LocalBroker:
        program = self._program or _find()
        self._folder = tempfile.TemporaryDirectory(prefix="appliance-broker-")
        port = _free_port()
        config = Path(self._folder.name) / "mosquitto.conf"
        user = "user root\n" if os.geteuid() == 0 else ""
        config.write_text(f"{user}listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
        try:
            try:
                self._start(program, port, "-c", str(config))
            except _ConfinedError:  # its own defaults then: this machine only, and Nagle's delays
                self._start(program, port, "-p", str(port))
        except BaseException:
            self._stop()
            raise
        self.url = f"mqtt://127.0.0.1:{port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self, program: Path, port: int, *arguments: str) -> None:
        assert self._folder is not None
        path = Path(self._folder.name) / "mosquitto.log"  # a pipe that nobody reads would fill and stop it
        with path.open("wb") as log:
            self._process = subprocess.Popen(
                leashed([str(program), *arguments]),
                env=_environment(program),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_WITHIN_S
        while not _answers(port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = path.read_text(errors="replace").strip() or f"no answer within {START_WITHIN_S:.0f} s"
                kind = _ConfinedError if "Unable to open config file" in said else BrokerMissingError
                raise kind(f"{program} does not start: {said}")
            time.sleep(0.02)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._folder is not None:
            self._folder.cleanup()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _find() -> Path:
    """Installed, or unpacked by scripts/demo."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is not None:
        return Path(found)
    unpacked = Path(sys.prefix) / "mosquitto" / "usr" / "sbin" / "mosquitto"
    if unpacked.exists():
        return unpacked
    raise BrokerMissingError("mosquitto is not installed: apt-get install mosquitto (or run scripts/demo)")


def _environment(program: Path) -> dict[str, str]:
    """With the libraries that were unpacked with the program, where it was."""
    environment = dict(os.environ)
    root = Path(sys.prefix) / "mosquitto"
    if root in program.parents:
        folders = sorted({str(library.parent) for library in root.glob("**/lib/**/*.so*")})
        environment["LD_LIBRARY_PATH"] = ":".join(folders)
    return environment


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
