"""What more model services bring, and what the service itself costs: prints one JSON line.

python -m scripts.benchmarks.services                 about two minutes
python -m scripts.benchmarks.services --services 1,3 --devices 60 --seconds 4

The model is a stated sleep, so that what is measured is everything around it: the broker (a mosquitto of our own on
loopback), MQTT, turns, threads, JSON. Devices are simulated, each over a connection of its own, from one process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from appliance.mqtt.broker import LocalBroker
from appliance.mqtt.topics import EVERY_SERVICE
from appliance.questions.announcement import announcement_from_json
from appliance.questions.codec import Payload
from appliance.questions.question import Refused, Reply
from scripts.benchmarks.crowd import Crowd, question_of

MODEL = "stated"
READY_WITHIN_S = 120.0
PAUSE_AFTER_BUSY_S = 0.2


@dataclass(frozen=True, slots=True)
class Throughput:
    """So many services on one shared subscription, every device always waiting for one answer."""

    services: int
    devices: int
    per_s: float
    """Answers."""
    times: float
    """As many as one service alone."""
    least: int
    most: int
    """Answers to one device."""
    fairness: float
    """Jain's index of the answers to each device: 1 when all get the same."""
    starved: int
    """Devices without any answer."""
    refused: int
    by_service: dict[str, int]


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One question after the other: what is added to the model's own time, milliseconds."""

    questions: int
    question_bytes: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@contextlib.contextmanager
def services(url: str, count: int, ms: float) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Services in processes of their own, ready; stopped in order at the end."""
    command = [sys.executable, "-m", "scripts.benchmarks.sleepy_service", "--broker", url, "--ms", str(ms)]
    command += ["--each", "4", "--id"]
    running = [subprocess.Popen([*command, f"s{number}"], stderr=subprocess.DEVNULL) for number in range(count)]
    try:
        _await_ready(url, count)
        yield running
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(20)


def _await_ready(url: str, count: int) -> None:
    """Until so many services say that their models are ready."""
    host, _, port = url.removeprefix("mqtt://").rpartition(":")
    ready: set[str] = set()
    changed = threading.Condition()

    def note(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        told = announcement_from_json(bytes(message.payload))
        with changed:
            if told.state == "online" and told.models and all(model.ready for model in told.models):
                ready.add(told.service)
            else:
                ready.discard(told.service)
            changed.notify_all()

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_message = note
    client.connect(host, int(port))
    client.subscribe(EVERY_SERVICE, qos=1)
    client.loop_start()
    with changed:
        if not changed.wait_for(lambda: len(ready) == count, READY_WITHIN_S):
            raise TimeoutError(f"{len(ready)} of {count} services became ready")
    client.disconnect()
    client.loop_stop()


class _Insistent:
    """Every device asks again as soon as it has its answer, and a little later when it was refused."""

    def __init__(self, crowd: Crowd) -> None:
        self.answers: Counter[str] = Counter()
        self.by_service: Counter[str] = Counter()
        self.refused = 0
        self.counting = False
        self._crowd = crowd
        self._asking = True
        crowd.on_answer = self._take

    def start(self) -> None:
        for device in self._crowd.devices:
            self._ask(device)

    def stop(self) -> None:
        self._asking = False

    def _take(self, device: str, said: Reply | Refused) -> None:
        if self.counting and isinstance(said, Reply):
            self.answers[device] += 1
            self.by_service[said.service] += 1
        if isinstance(said, Refused):
            self.refused += self.counting
            threading.Timer(PAUSE_AFTER_BUSY_S, self._ask, (device,)).start()
        else:
            self._ask(device)

    def _ask(self, device: str) -> None:
        if self._asking:
            self._crowd.ask(device, MODEL, _question(2000), left_ms=60_000.0)


def _question(about_bytes: int) -> Payload:
    """Noise, which does not deflate."""
    samples = min(8000, max(1, about_bytes // 2 - 150))
    noise = np.random.default_rng(time.monotonic_ns()).uniform(-1, 1, samples).astype(np.float32)
    return question_of(MODEL, sound=noise)


def throughput(url: str, count: int, devices: int, ms: float, seconds: float, alone: float | None) -> Throughput:
    """`alone`: answers a second of one service; None: this is the one."""
    host, _, port = url.removeprefix("mqtt://").rpartition(":")
    names = [f"device-{number}" for number in range(devices)]
    with services(url, count, ms), Crowd(host, int(port), names) as crowd:
        insistent = _Insistent(crowd)
        insistent.start()
        time.sleep(min(3.0, seconds / 2))
        insistent.counting = True
        began_s = time.monotonic()
        time.sleep(seconds)
        insistent.counting = False
        took_s = time.monotonic() - began_s
        insistent.stop()
        counts = np.array([insistent.answers[name] for name in names], float)
        repeated = sum(len(asked.answers) > 1 for asked in crowd.asked.values())
    assert repeated == 0, f"{repeated} questions were answered twice"
    per_s = float(counts.sum()) / took_s
    return Throughput(
        services=count,
        devices=devices,
        per_s=round(per_s, 1),
        times=round(per_s / (alone or per_s), 2),
        least=int(counts.min()),
        most=int(counts.max()),
        fairness=round(float(counts.sum() ** 2 / (len(counts) * (counts**2).sum())), 3) if counts.any() else 0.0,
        starved=int((counts == 0).sum()),
        refused=insistent.refused,
        by_service=dict(sorted(insistent.by_service.items())),
    )


def round_trip(url: str, ms: float, questions: int, question_bytes: int = 20_000) -> RoundTrip:
    """QoS 1 both ways."""
    host, _, port = url.removeprefix("mqtt://").rpartition(":")
    added, sent = [], 0
    with services(url, 1, ms), Crowd(host, int(port), ["probe"]) as crowd:
        for number in range(questions + 20):
            payload = _filled(question_bytes)
            question = crowd.ask("probe", MODEL, payload, left_ms=5000.0)
            if not crowd.wait([question], 6.0):
                raise TimeoutError("a question was not answered")
            said = crowd.asked[question].answers[0][1]
            assert isinstance(said, Reply), said
            if number >= 20:
                added.append(crowd.asked[question].ms - said.infer_ms)
                sent = len(payload.body)
            time.sleep(0.01)
    p50, p95, p99 = np.percentile(added, [50, 95, 99])
    return RoundTrip(questions, sent, round(float(p50), 2), round(float(p95), 2), round(float(p99), 2))


def _filled(size: int) -> Payload:
    """A window of sound, lengthened with labels that nobody has, to so many bytes."""
    short = _question(16_000)
    missing = max(0, size - len(short.body))
    noise = np.random.default_rng(1).uniform(-1, 1, 7850).astype(np.float32)
    return question_of(MODEL, sound=noise, labels=tuple("x" * 100 for _ in range(missing // 103)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--services", default="1,2,4,8", help="how many, one after the other; the first is compared with"
    )
    parser.add_argument("--devices", type=int, default=64, help="while throughput is measured")
    parser.add_argument("--crowd", type=int, default=500, help="devices on the last number of services, for fairness")
    parser.add_argument("--ms", type=float, default=100.0, help="what the model takes")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--questions", type=int, default=300, help="of the round trip; 0 leaves it out")
    asked = parser.parse_args()
    print(json.dumps(measure(asked)))


def measure(asked: argparse.Namespace) -> dict[str, object]:
    counts: Sequence[int] = [int(count) for count in asked.services.split(",")]
    document: dict[str, object] = {"model_ms": asked.ms, "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    found: list[Throughput] = []
    with LocalBroker() as broker:
        for count in counts:
            alone = found[0].per_s if found else None
            found.append(throughput(broker.url, count, asked.devices, asked.ms, asked.seconds, alone))
        document["throughput"] = [asdict(each) for each in found]
        if asked.crowd:
            many = throughput(broker.url, counts[-1], asked.crowd, asked.ms, 2 * asked.seconds, found[0].per_s)
            document["crowd"] = asdict(many)
        if asked.questions:
            document["round_trip"] = asdict(round_trip(broker.url, 5.0, asked.questions))
    return document


if __name__ == "__main__":
    main()
