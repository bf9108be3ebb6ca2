"""The demo's pipelines, a broker, a subscriber and a viewer of the live page: does anything grow? One JSON line."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from appliance.demo import SCENE, Choice, page_address, start_appliance, write_config
from appliance.mqtt.broker import LocalBroker
from appliance.spoken import write_spoken
from appliance.window.following import Following
from scripts.soaking.held import Held, held
from scripts.soaking.trend import Trend, trend

EVERY_S = 2.0
WARM_UP = 0.2
"""Share of the time that is not judged, and at least WARM_UP_S: caches fill, allocators settle."""
WARM_UP_S = 60.0
BURDENED_S = 30.0, 50.0
"""From when to when, in the warm-up, other programs want every processor: what waits in queues is then as much as ever
will, and the memory for it has been taken before anything is judged."""
BUSY = "import sys, time; end = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"
SILENT_S = 30.0
"""Without a document or a record for so long, nothing is at work."""
START_S = 180.0
"""What the first of them may take: models are opened, on a machine that has other things to do."""
MOST_GROWN = {"memory_mb": 3.0, "handles": 1.0, "threads": 1.0}
"""Over the whole time that is judged, noise included; in an hour 3 MB are 72 MB a day."""


class Heard:
    """Counts what comes, and when the last of it came. From any thread."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.count = 0
        self.last_s = time.monotonic()

    def one(self) -> None:
        self.count += 1
        self.last_s = time.monotonic()


@contextmanager
def subscribed(url: str, heard: Heard) -> Iterator[None]:
    """Everything of the broker, until the block ends."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
    client.on_message = lambda *_: heard.one()
    host, _, port = url.removeprefix("mqtt://").partition(":")
    client.connect(host, int(port))
    client.loop_start()
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def watched(page: str, heard: Heard) -> Iterator[None]:
    """The live page as a browser has it, until the block ends."""
    stopping = threading.Event()
    host, _, port = page.partition(":")

    def watch() -> None:
        with Following(host, int(port)) as following:
            while not stopping.is_set():
                for _ in following.records(0.5):
                    heard.one()

    thread = threading.Thread(target=watch, name="viewer")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def soak(seconds: float, folder: Path) -> dict[str, Any]:
    """Run it all for so long; what was found."""
    page, documents, records = page_address(), Heard("documents on the broker"), Heard("records of the page")
    sounds = write_spoken(folder / "words.wav")
    with LocalBroker() as broker:
        camera, microphone = Choice(SCENE, ""), Choice(f"wav:{sounds}", "")
        process = start_appliance(write_config(folder, broker.url, camera, microphone, page))
        try:
            with subscribed(broker.url, documents), watched(page, records):
                samples = _sampled(process, seconds, (documents, records))
        finally:
            process.terminate()
            try:
                ended = process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                ended = process.wait()
    return _judged(samples, seconds) | {"documents": documents.count, "page_records": records.count, "exit_code": ended}


def _sampled(process: subprocess.Popen[bytes], seconds: float, signs: tuple[Heard, ...]) -> list[tuple[float, Held]]:
    """Raises RuntimeError when the appliance ends or falls silent."""
    began_s = time.monotonic()
    samples: list[tuple[float, Held]] = []
    burden: list[subprocess.Popen[bytes]] = []
    while (at_s := time.monotonic() - began_s) < seconds:
        if not burden and at_s >= BURDENED_S[0]:
            burden = _burdened(BURDENED_S[1] - BURDENED_S[0])
        if process.poll() is not None:
            raise RuntimeError(f"the appliance ended by itself after {at_s:.0f} s with {process.returncode}")
        for sign in signs:
            silent_s = time.monotonic() - sign.last_s
            if silent_s > (SILENT_S if sign.count else START_S):
                raise RuntimeError(f"{sign.what}: silent for {silent_s:.0f} s, after {sign.count} of them")
        samples.append((at_s, held(process.pid)))
        time.sleep(EVERY_S)
    for each in burden:
        each.wait()
    return samples


def _burdened(seconds: float) -> list[subprocess.Popen[bytes]]:
    """Two programs for every processor, which end by themselves."""
    return [
        subprocess.Popen([sys.executable, "-c", BUSY, str(seconds)]) for _ in range(2 * len(os.sched_getaffinity(0)))
    ]


def _judged(samples: list[tuple[float, Held]], seconds: float) -> dict[str, Any]:
    warm_s = max(WARM_UP_S, WARM_UP * seconds)
    judged = [(at_s, each) for at_s, each in samples if at_s >= warm_s]
    at = [at_s for at_s, _ in judged]
    trends = {name: trend(at, [float(getattr(each, name)) for _, each in judged]) for name in MOST_GROWN}
    flat = {name: found.most_grown <= MOST_GROWN[name] for name, found in trends.items()}
    figures = {name: _written(found, flat[name]) for name, found in trends.items()}
    processes = sorted({each.processes for _, each in judged})
    return {
        "figure": "soak",
        "seconds": round(seconds),
        "judged_from_s": round(warm_s),
        "flat": all(flat.values()),
        **figures,
        "processes": processes,
    }


def _written(found: Trend, flat: bool) -> dict[str, Any]:
    return {
        "level": round(found.level, 2),
        "per_h": round(found.per_h, 3),
        "noise_per_h": round(found.noise_per_h, 3),
        "grown_at_least": round(found.least_grown, 3),
        "grown_at_most": round(found.most_grown, 3),
        "flat": flat,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long (3600)")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="appliance-soak-") as folder:
        try:
            found = soak(seconds, Path(folder))
        except RuntimeError as error:
            found = {"figure": "soak", "seconds": round(seconds), "flat": False, "fault": str(error)}
    print(json.dumps(found), flush=True)
    return 0 if found["flat"] else 1


if __name__ == "__main__":
    sys.exit(main())
