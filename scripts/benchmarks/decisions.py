"""A thousand samples while the model service is dead: how many have their result in time, and how late is the rest?

python -m scripts.benchmarks.decisions --broker mqtt://… [--engine missing | busy]

The service announces itself and takes every question, and answers none: that is worse than one that is gone. One JSON
line. With --engine missing nobody can answer, and the result that must come in time is the word that it failed. With
--engine busy the local model is a large one that computes without a pause on every core.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from appliance.assembly import Assembly, assemble
from appliance.catalogue import Catalogue
from appliance.config import parse
from appliance.mqtt.settings import BrokerAddress
from appliance.mqtt.topics import Topics, questions, service_available
from appliance.questions.announcement import Announcement, ServedModel, announcement_to_json
from appliance.result import Result
from appliance.uplink.outgoing import Outgoing
from capture.samples import Frame, Stamp
from scripts.benchmarks.material import Material

SLACK_MS = 10.0
"""So long after its deadline a result still counts as in time."""
PER_S = 40.0
SIZE = (360, 640, 3)

CONFIG = """
[device]
name = "decider"
threads = {threads}
[mqtt]
broker = "{broker}"
[remote]
max_per_s = 1000
max_kb_per_s = 100000
[[camera]]
name = "fed"
uri = "scene:shapes"
enabled = false
[[pipeline]]
name = "routed"
source = "fed"
model = "{model}"
every = true
timeout_s = 10
[pipeline.remote]
offload = "frames"
model = "shapes"
prefer = "{prefer}"
deadline_s = {deadline_s}
"""


class DeadService:
    """Says that it is there, takes what is asked, and never answers."""

    def __init__(self, broker: str) -> None:
        address = BrokerAddress.parse(broker)
        self.asked = 0
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.on_message = self._on_message
        self._client.connect(address.host, address.port)
        self._client.subscribe(questions("services", "shapes"), qos=1)
        here = Announcement("dead", "online", "services", (ServedModel("shapes", True),), largest_bytes=10**7)
        self._client.publish(service_available("dead"), announcement_to_json(here), qos=1, retain=True)
        self._client.loop_start()

    def _on_message(self, *_: object) -> None:
        self.asked += 1

    def close(self) -> None:
        self._client.publish(service_available("dead"), b"", qos=1, retain=True).wait_for_publish(5)
        self._client.disconnect()
        self._client.loop_stop()


class Control:
    """A process that does nothing but wake up every 5 ms: how late the machine lets it be, whatever we do."""

    PROGRAM = """
import sys, threading, time
worst, ended = 0.0, threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
while not ended.is_set():
    due = time.monotonic() + 0.005
    time.sleep(0.005)
    worst = max(worst, time.monotonic() - due)
print(worst * 1000)
"""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def worst_ms(self) -> float:
        """Ends it."""
        return float(self._process.communicate("")[0])


@contextmanager
def running(assembly: Assembly) -> Iterator[None]:
    """The daemon's threads, but for its own."""
    assert assembly.remote is not None
    bodies: list[Callable[[threading.Event], None]] = [
        assembly.remote.asker.run,
        assembly.remote.inquirer.run,
        assembly.remote.routing.run,
        *(worker.run for worker in assembly.workers.values()),
        *(feed.run for feed in assembly.feeds.values()),
    ]
    stopping = threading.Event()
    threads = [threading.Thread(target=body, args=(stopping,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        assembly.remote.wake()
        for feed in assembly.feeds.values():
            feed.close()
        for worker in assembly.workers.values():
            worker.wake()
        for thread in threads:
            thread.join(10)


def measure(broker: str, samples: int, engine: str, deadline_s: float) -> dict[str, object]:
    """Feed the samples at a steady pace and see when each has its result."""
    decided: dict[int, tuple[int, Result]] = {}

    def post(document: Outgoing) -> None:
        result = document.document
        if isinstance(result, Result) and result.pipeline == "routed":
            decided[result.seq] = (time.monotonic_ns(), result)

    with TemporaryDirectory() as folder:
        models = {"healthy": "shapes", "missing": "absent"}
        model = models.get(engine) or str(Material(Path(folder), 1).detector(640).folder)
        text = CONFIG.format(
            broker=broker,
            model=model,
            threads=os.cpu_count(),
            prefer="local" if engine == "busy" else "remote",
            deadline_s=deadline_s,
        )
        catalogue = Catalogue.default(Path(folder))
        topics = Topics("appliance", "decider")
        assembly = assemble(parse(text, "decisions"), catalogue, topics, post, lambda: "synced", lambda: None)
        service = DeadService(broker)
        control = Control()
        try:
            with running(assembly):
                for worker in assembly.workers.values():
                    worker.settled.wait(30)
                stamps = _feed(assembly, samples)
                time.sleep(deadline_s + 0.5)
        finally:
            service.close()
            machine_ms = control.worst_ms()
    late_ms = sorted(
        (decided[seq][0] - stamp.mono_ns) / 1e6 - deadline_s * 1000
        for seq, stamp in enumerate(stamps)
        if seq in decided
    )
    statuses = [result.status for _, result in decided.values()]
    return {
        "samples": samples,
        "decided": len(decided),
        "in_time": sum(ms <= SLACK_MS for ms in late_ms),
        "latest_ms": round(late_ms[-1], 2),
        "p99_ms": round(late_ms[len(late_ms) * 99 // 100], 2),
        "deadline_ms": deadline_s * 1000,
        "answered": sum(status != "failed" for status in statuses),
        "failed": statuses.count("failed"),
        "asked": service.asked,
        "engine": engine,
        "inferences": sum(worker.inferences for worker in assembly.workers.values()),
        "punctual": assembly.remote is not None and assembly.remote.routing.punctual,
        "machine_late_ms": round(machine_ms, 2),
        "load": round(os.getloadavg()[0], 1),
    }


def _feed(assembly: Assembly, samples: int) -> list[Stamp]:
    random = np.random.default_rng(0)
    pipeline, stamps = assembly.pipelines["routed"], []
    next_s = time.monotonic()
    for seq in range(samples):
        next_s += 1 / PER_S
        time.sleep(max(0.0, next_s - time.monotonic()))
        pixels = random.integers(0, 256, SIZE, np.uint8)
        stamp = Stamp.now()
        stamps.append(stamp)
        pipeline.offer(Frame("fed", seq, stamp, pixels, ready_ns=stamp.mono_ns))
    return stamps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--engine", choices=("healthy", "missing", "busy"), default="healthy")
    parser.add_argument("--deadline-ms", type=float, default=200.0)
    asked = parser.parse_args()
    print(json.dumps(measure(asked.broker, asked.samples, asked.engine, asked.deadline_ms / 1000)))


if __name__ == "__main__":
    main()
