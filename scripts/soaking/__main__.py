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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from appliance.config import load
from appliance.demo import SCENE, Choice, page_address, start_appliance, write_config
from appliance.mqtt.broker import LocalBroker
from appliance.spoken import write_spoken
from appliance.window.following import Following
from scripts.soaking.held import Held, held
from scripts.soaking.signs import Signs, result_topics
from scripts.soaking.trend import Trend, trend

EVERY_S = 2.0
WARM_UP = 0.2
"""Share of the time that is not judged, and at least WARM_UP_S: caches fill, allocators settle."""
WARM_UP_S = 60.0
BURDENED_S = 30.0, 50.0
"""From when to when, in the warm-up, other programs want every processor: what waits in queues is then as much as ever
will, and the memory for it has been taken before anything is judged."""
BUSY = "import sys, time; end = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"
END_S = 20.0
"""What it may take to end once it is told to; then it is killed, and that is a fault."""
MOST_GROWN = {"memory_mb": 3.0, "handles": 1.0, "threads": 1.0}
"""Over the whole time that is judged, noise included; in an hour 3 MB are 72 MB a day."""


@contextmanager
def subscribed(url: str, signs: Signs) -> Iterator[None]:
    """Everything of the broker, until the block ends."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
    client.on_message = lambda _client, _, message: signs.document(message.topic, message.payload, time.monotonic())
    host, _, port = url.removeprefix("mqtt://").partition(":")
    client.connect(host, int(port))
    client.loop_start()
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


@contextmanager
def watched(page: str, signs: Signs) -> Iterator[None]:
    """The live page as a browser has it, until the block ends."""
    stopping = threading.Event()
    host, _, port = page.partition(":")

    def watch() -> None:
        with Following(host, int(port)) as following:
            while not stopping.is_set():
                for head, _ in following.records(0.5):
                    signs.record(head, time.monotonic())

    thread = threading.Thread(target=watch, name="viewer")
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def soak(seconds: float, folder: Path) -> dict[str, Any]:
    """Run it all for so long; what was found."""
    page, sounds = page_address(), write_spoken(folder / "words.wav")
    with LocalBroker() as broker:
        camera, microphone = Choice(SCENE, ""), Choice(f"wav:{sounds}", "")
        config = write_config(folder, broker.url, camera, microphone, page)
        signs = Signs(result_topics(load(config)), time.monotonic())
        process = start_appliance(config)
        try:
            with subscribed(broker.url, signs), watched(page, signs):
                samples = _sampled(process, seconds, signs)
        finally:
            ended = end(process)
    counts = {"documents": signs.documents, "results": signs.results, "page_records": signs.shown}
    return _judged(samples, seconds) | counts | {"exit_code": ended}


def end(process: subprocess.Popen[bytes]) -> int:
    """Its exit code, once it has been told to end."""
    process.terminate()
    try:
        return process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _sampled(process: subprocess.Popen[bytes], seconds: float, signs: Signs) -> list[tuple[float, Held]]:
    """Raises RuntimeError when the appliance ends or a part of it falls silent."""
    began_s = time.monotonic()
    samples: list[tuple[float, Held]] = []
    burden: list[subprocess.Popen[bytes]] = []
    while (at_s := time.monotonic() - began_s) < seconds:
        if not burden and at_s >= BURDENED_S[0]:
            burden = _burdened(BURDENED_S[1] - BURDENED_S[0])
        if process.poll() is not None:
            raise RuntimeError(f"the appliance ended by itself after {at_s:.0f} s with {process.returncode}")
        if (fault := signs.fault(time.monotonic())) is not None:
            raise RuntimeError(fault)
        samples.append((at_s, held(process.pid)))
        time.sleep(EVERY_S)
    for each in burden:
        each.wait()
    if signs.never_came:
        raise RuntimeError(f"in {seconds:.0f} s there were no {', no '.join(signs.never_came)}")
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


def succeeded(found: Mapping[str, Any]) -> bool:
    """Nothing grew, nothing fell silent, and it ended in order when it was told to."""
    return bool(found["flat"]) and found.get("exit_code") == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long (3600)")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="appliance-soak-") as folder:
        try:
            found = soak(seconds, Path(folder))
        except (RuntimeError, ProcessLookupError) as error:
            found = {"figure": "soak", "seconds": round(seconds), "flat": False, "fault": str(error)}
    print(json.dumps(found), flush=True)
    return 0 if succeeded(found) else 1


if __name__ == "__main__":
    sys.exit(main())
