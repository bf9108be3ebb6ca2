"""A real `appliance run` in a process of its own, and a subscriber that keeps what it publishes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.contract import judge
from tests.waiting import until


class ApplianceProcess:
    """Started and ended with `with`; `log` is what it wrote."""

    module = "appliance"
    """What is run; of another one, something of the real thing is not."""

    def __init__(self, folder: Path, config: str, **environment: str) -> None:
        """`environment`: on top of the test's own."""
        self.folder = folder
        self._environment = environment
        self.path = folder / "appliance.toml"
        self._log = folder / "appliance.log"
        self.write(config)
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, config: str) -> None:
        """Replace the configuration file; takes effect at the next start or reload."""
        self.path.write_text(f'[device]\nname = "box"\nstate_dir = "{self.folder}"\n{config}', encoding="utf-8")

    def __enter__(self) -> ApplianceProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if kind is not None:
            sys.stderr.write(f"---- appliance\n{self.log[-4000:]}\n")

    def start(self, **environment: str) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module, "run", "--config", str(self.path)],
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment, **environment},
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def ends(self, within_s: float = 15.0) -> int:
        """Wait for the end; the exit code."""
        assert self._process is not None
        return self._process.wait(within_s)

    def memory_mb(self) -> float:
        """Resident memory now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("no VmRSS")

    def handles(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))


class Ear:
    """Subscribes to everything of a broker and keeps it, with the time of arrival.

    At the end every document of an appliance must have been what the contract says; what the test itself has said
    through `say` or `forge` is left out.
    """

    _said: ClassVar[set[tuple[str, bytes]]] = set()
    """By any of them: what is retained comes again to the next."""

    def __init__(self, port: int) -> None:
        self._heard: list[tuple[float, str, bytes]] = []
        self._lock = threading.Lock()
        self._subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.on_message = self._on_message
        self.client.reconnect_delay_set(1, 1)
        self._port = port

    def __enter__(self) -> Ear:
        self.client.connect("127.0.0.1", self._port)
        self.client.loop_start()
        assert self._subscribed.wait(5)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        if kind is None:
            foreign = [(topic, payload) for _, topic, payload in self._heard if (topic, payload) not in self._said]
            faults = [fault for topic, payload in foreign for fault in judge(topic, payload)]
            assert not faults, f"{len(faults)} documents break the contract, such as\n{faults[0]}"

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        with self._lock:
            self._heard.append((time.monotonic(), message.topic, bytes(message.payload)))

    def say(self, topic: str, payload: Any) -> None:
        self.forge(topic, json.dumps(payload).encode())

    def forge(self, topic: str, payload: bytes, retain: bool = False) -> None:
        """Say something in the name of anybody."""
        self._said.add((topic, payload))
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(5)

    def payloads(self, ending: str, since_s: float = 0.0) -> list[bytes]:
        """Payloads on topics that end so, oldest first, that came after `since_s` (monotonic)."""
        with self._lock:
            return [payload for at_s, topic, payload in self._heard if topic.endswith(ending) and at_s >= since_s]

    def documents(self, ending: str, since_s: float = 0.0) -> list[Any]:
        return [json.loads(payload) for payload in self.payloads(ending, since_s)]

    def arrivals_s(self, ending: str, since_s: float = 0.0) -> list[float]:
        """When (monotonic) something came on topics that end so, after `since_s`."""
        with self._lock:
            return [at_s for at_s, topic, _ in self._heard if topic.endswith(ending) and at_s >= since_s]

    def await_payload(self, ending: str, wanted: bytes, since_s: float = 0.0, within_s: float = 5.0) -> None:
        """Until `wanted` has come on a topic that ends so."""
        until(
            lambda: wanted in self.payloads(ending, since_s),
            within_s,
            what=f"{wanted!r} on …{ending}; heard {self.payloads(ending, since_s)[-5:]}",
        )

    def await_document(self, ending: str, since_s: float = 0.0, within_s: float = 5.0, **fields: Any) -> Any:
        """The first document on a topic that ends so whose fields are these."""

        def find() -> Any:
            for document in self.documents(ending, since_s):
                if all(document.get(key) == value for key, value in fields.items()):
                    return document
            return None

        return until(find, within_s, what=f"{fields} on …{ending}; heard {self.documents(ending, since_s)[-2:]}")
