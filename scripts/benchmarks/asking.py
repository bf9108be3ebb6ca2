"""What asking a model service adds to the service's own work, with the device's own asker: prints one JSON line.

python -m scripts.benchmarks.asking                 half a minute
python -m scripts.benchmarks.asking --questions 1000 --kb 60

A mosquitto of our own on loopback, `appliance serve` in a process of its own, the thread `asker` here; QoS 1. Questions
come one after the other: JPEG of the size asked for, for the model `shapes`; and with --sound windows of 16 kB for
`tones`. `added` is the round trip, from encoding the question to the answer in hand, without the service's own compute:
what the model took, and the decoding of the JPEG, which is measured here.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from ulid import ULID

from appliance import long_lived
from appliance.mqtt.broker import LocalBroker
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics
from appliance.pipeline.snapshot import jpeg
from appliance.questions.codec import encode_question
from appliance.questions.picture import decode_jpeg
from appliance.questions.question import Question, Reply
from appliance.remote.asker import Asker
from appliance.remote.open_questions import Outcome
from engines.engine import Array

TOPICS = Topics("appliance", "bench")
READY_WITHIN_S = 60.0
WARM_UP = 20
PAUSE_S = 0.02
DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        return cls(*(round(float(each), 2) for each in np.percentile(values, [50, 95, 99])))


@dataclass(frozen=True, slots=True)
class Asking:
    questions: int
    question_bytes: int
    """Of the MQTT packets, on average."""
    refused: int
    added: Spread
    infer: Spread
    """What the model took."""
    jpeg_ms: float
    """What decoding the picture takes; 0 for sound."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is asked about, every time."""

    model: str
    jpeg: bytes | None = None
    sound: Array | None = None

    @property
    def decode_ms(self) -> float:
        """What it costs the service before the model gets it: after a pause, with the caches cold, as there."""
        if self.jpeg is None:
            return 0.0
        times = []
        for _ in range(50):
            time.sleep(PAUSE_S)
            began_s = time.perf_counter()
            decode_jpeg(self.jpeg)
            times.append(1e3 * (time.perf_counter() - began_s))
        return float(np.median(times))


def picture(bytes_wanted: int) -> Sample:
    """A JPEG of about this length: a square on as much noise as it takes."""
    random = np.random.default_rng(1)
    low, high = 0, 128
    while True:
        spread = (low + high) // 2
        pixels = (110 + random.integers(-spread, spread + 1, (360, 640, 3))).clip(0, 255).astype(np.uint8)
        cv2.rectangle(pixels, (200, 100), (300, 200), (0, 0, 255), -1)
        data = jpeg(pixels)
        if abs(len(data) - bytes_wanted) < bytes_wanted // 20 or high - low <= 1:
            return Sample("shapes", jpeg=data)
        low, high = (spread, high) if len(data) < bytes_wanted else (low, spread)


def noise() -> Sample:
    """Half a second that does not deflate."""
    return Sample("tones", sound=np.random.default_rng(1).uniform(-1, 1, 8000).astype(np.float32))


@contextlib.contextmanager
def at_work(url: str, model: str) -> Iterator[Asker]:
    """The service and the asker, connected and ready."""
    command = [sys.executable, "-m", "appliance", "serve", "--broker", url, "--model", model, "--id", "bench"]
    service = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    asker = Asker(LinkSettings(url, client_id="bench-asker"), TOPICS)
    stopping = threading.Event()
    thread = threading.Thread(target=asker.run, args=(stopping,), name="asker")
    thread.start()
    try:
        until_s = time.monotonic() + READY_WITHIN_S
        while not asker.standing(model).usable:
            if time.monotonic() > until_s:
                raise SystemExit(f"the service is not ready: {asker.standing(model).words}")
            time.sleep(0.05)
        yield asker
    finally:
        stopping.set()
        asker.wake()
        thread.join()
        service.terminate()
        service.wait()


def ask(asker: Asker, sample: Sample) -> tuple[Outcome, float]:
    """The outcome and how long it took, from encoding the question to the answer in hand, in milliseconds."""
    box: queue.SimpleQueue[tuple[Outcome, int]] = queue.SimpleQueue()
    began_ns = time.perf_counter_ns()
    question = Question(
        id=str(ULID()),
        device=TOPICS.device,
        model=sample.model,
        version=None,
        first=None,
        last=None,
        picture=None,
        sound=sample.sound,
        tensors={},
        decode=True,
        threshold=None,
        labels=None,
        deadline_ns=time.monotonic_ns() + int(DEADLINE_S * 1e9),
    )
    payload = encode_question(question, jpeg=sample.jpeg)
    asker.ask(question, payload, lambda outcome: box.put((outcome, time.perf_counter_ns())))
    outcome, came_ns = box.get()
    return outcome, (came_ns - began_ns) / 1e6


def measure(asker: Asker, sample: Sample, count: int) -> Asking:
    for _ in range(WARM_UP):
        ask(asker, sample)
    long_lived.settle()
    decode_ms = sample.decode_ms
    added, infer = [], []
    for _ in range(count):
        outcome, trip_ms = ask(asker, sample)
        if isinstance(outcome, Reply):
            added.append(trip_ms - outcome.infer_ms - decode_ms)
            infer.append(outcome.infer_ms)
        time.sleep(PAUSE_S)
    time.sleep(0.5)  # until the figures are of now
    figures = asker.figures()
    size = round(figures.sent_bytes / figures.sent)
    return Asking(count, size, count - len(added), Spread.of(added), Spread.of(infer), round(decode_ms, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--kb", type=float, default=20.0, help="length of the JPEG")
    parser.add_argument("--sound", action="store_true", help="sound instead of pictures")
    asked = parser.parse_args()
    sample = noise() if asked.sound else picture(int(asked.kb * 1000))
    with LocalBroker() as broker, at_work(broker.url, sample.model) as asker:
        result = measure(asker, sample, asked.questions)
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    main()
