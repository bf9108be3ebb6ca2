"""A subscriber in a process of its own: notes when each message came, tells it all when asked to end."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

from scripts.benchmarks.material import Unavailable

KEPT = ("id", "pipeline", "seq", "status", "captured_at", "latency_ms", "ready_ns", "done_ns", "event")


@dataclass(frozen=True, slots=True)
class Heard:
    """One message."""

    topic: str
    arrived_ns: int
    """Unix time at which the callback was called."""
    arrived_mono_ns: int
    fields: Mapping[str, Any]
    """Those of KEPT that its document has."""

    @property
    def is_result(self) -> bool:
        return self.topic.endswith("/result")

    @property
    def ready_ns(self) -> int:
        """When the picture was handed over, Unix time."""
        if "ready_ns" in self.fields:
            return int(self.fields["ready_ns"])
        return self._captured_ns + self._stage_ns("capture")

    @property
    def done_ns(self) -> int:
        """When the model had answered, Unix time."""
        if "done_ns" in self.fields:
            return int(self.fields["done_ns"])
        return self._captured_ns + self._stage_ns("total")

    def _stage_ns(self, stage: str) -> int:
        return round(float(self.fields["latency_ms"][stage]) * 1e6)

    @property
    def _captured_ns(self) -> int:
        moment = datetime.fromisoformat(str(self.fields["captured_at"]).replace("Z", "+00:00"))
        return round(moment.timestamp() * 1e6) * 1000


class Subscriber:
    """Opened with `with`, while the broker runs."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Subscriber:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.benchmarks.subscriber", str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def await_first(self, ending: str = "/result", within_s: float = 30.0) -> int:
        """Unix time at which the next message on a topic that ends so comes; raises Unavailable when none does."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"await {ending} {within_s}\n")
        self._process.stdin.flush()
        arrived_ns = int(self._line("first"))
        if arrived_ns == 0:
            raise Unavailable(f"nothing on …{ending} within {within_s:g} s")
        return arrived_ns

    def heard(self) -> list[Heard]:
        """Everything until now."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("tell\n")
        self._process.stdin.flush()
        return [Heard(*row) for row in json.loads(self._line("heard"))]

    def _line(self, kind: str) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        word, _, rest = self._process.stdout.readline().partition(" ")
        if word.strip() != kind:
            raise Unavailable(f"the subscriber said {word!r}, expected {kind!r}")
        return rest


def _listen(port: int) -> None:
    """Body of the process."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    heard: list[tuple[str, int, int, bytes]] = []
    arrivals: queue.SimpleQueue[tuple[str, int]] = queue.SimpleQueue()
    subscribed: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def on_message(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        now_ns, mono_ns = time.time_ns(), time.monotonic_ns()
        heard.append((message.topic, now_ns, mono_ns, bytes(message.payload)))
        arrivals.put((message.topic, now_ns))

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = on_message
    client.on_subscribe = lambda *_: subscribed.put(True)
    client.connect("127.0.0.1", port)
    client.subscribe("#", qos=1)
    client.loop_start()
    subscribed.get(timeout=10)
    _say("ready")
    for line in sys.stdin:
        match line.split():
            case ["await", ending, within_s]:
                _say(f"first {_first(arrivals, ending, float(within_s))}")
            case ["tell"]:
                _say("heard " + json.dumps([(*row[:3], _kept(row[3])) for row in heard[:]]))


def _first(arrivals: queue.SimpleQueue[tuple[str, int]], ending: str, within_s: float) -> int:
    """0 when there is none."""
    deadline_s = time.monotonic() + within_s
    while True:
        try:
            topic, arrived_ns = arrivals.get(timeout=max(0.0, deadline_s - time.monotonic()))
        except queue.Empty:
            return 0
        if topic.endswith(ending):
            return arrived_ns


def _kept(payload: bytes) -> dict[str, Any]:
    try:
        document = json.loads(payload)
    except ValueError:
        return {}
    return {key: document[key] for key in KEPT if key in document} if isinstance(document, dict) else {}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def between(heard: list[Heard], start_ns: int, end_ns: int) -> Iterator[Heard]:
    """Results that came in this time."""
    return (each for each in heard if each.is_result and start_ns <= each.arrived_ns < end_ns)


if __name__ == "__main__":
    _listen(int(sys.argv[1]))
