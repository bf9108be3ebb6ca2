"""Model services in processes of their own: the real `appliance serve`, or one whose model takes a stated time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from appliance.mqtt.topics import service_available
from appliance.questions.announcement import Announcement, announcement_from_json
from tests.uplinks import Listener
from tests.waiting import until


class ServiceProcess:
    """Started and ended with `with`; `log` is what it wrote."""

    def __init__(
        self, folder: Path, broker: str, name: str = "s1", *options: str, module: str = "", config: str = ""
    ) -> None:
        """`options`: further ones of its command line. `module`: another than the one with a stated time. `config`:
        what a configuration file says of its models, instead of options."""
        self.name = name
        self._command = [sys.executable, "-m", module or "scripts.benchmarks.sleepy_service"]
        self._command += ["serve"] if module else []
        if config:
            path = folder / f"{name}.toml"
            path.write_text(f'[serve]\nid = "{name}"\n[mqtt]\nbroker = "{broker}"\n{config}', encoding="utf-8")
            self._command += ["--config", str(path)]
        else:
            self._command += ["--broker", broker, "--id", name, *options]
        self._log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> ServiceProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            self.kill()
        if kind is not None:
            sys.stderr.write(f"---- {self.name}\n{self.log[-3000:]}\n")

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=dict(os.environ))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, within_s: float = 15.0) -> int:
        """SIGTERM; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(within_s)

    def told(self, listener: Listener) -> list[Announcement]:
        """What it has said of itself, oldest first."""
        return [announcement_from_json(payload) for payload in listener.on(service_available(self.name))]

    def await_ready(self, listener: Listener, within_s: float = 30.0) -> None:
        """Until it has announced all its models as ready."""

        def ready() -> bool:
            assert self.running, self.log
            told = self.told(listener)
            return bool(told) and told[-1].state == "online" and all(model.ready for model in told[-1].models)

        until(ready, within_s, f"{self.name} is ready")
