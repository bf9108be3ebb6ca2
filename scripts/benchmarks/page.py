"""C14: what the live page costs: nothing while nobody watches, little while somebody does, and never the engine's time.

As a program it is so many viewers of a page: PORT VIEWERS. They read and throw away.
"""

from __future__ import annotations

import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from appliance.mqtt.broker import BrokerMissingError, LocalBroker
from appliance.page.encoder import picture
from appliance.page.hub import Hub
from appliance.result import FrameSize, Latency, ModelId, Result
from capture.samples import Frame
from engines.predictions import Detection
from scripts.benchmarks.bench import Bench, frame
from scripts.benchmarks.goals import Figure, missing
from scripts.benchmarks.material import Unavailable
from scripts.benchmarks.running import Running, configuration, cpu_s_of
from scripts.benchmarks.subscriber import Subscriber, between
from scripts.benchmarks.timing import percentile, turn

GOALS = ("C14",)
PER_PICTURE_MS = 0.6
UNWATCHED_US = 1.0
P99_WITH_VIEWERS = 1.10
VIEWERS = 5
MARGIN_S = 0.5
"""After viewers come or go."""
WIDTH, HEIGHT = 640, 360


def measure(bench: Bench) -> list[Figure]:
    import cv2

    pictures = [frame(cv2.resize(pixels, (WIDTH, HEIGHT)), seq) for seq, pixels in enumerate(bench.material.pictures())]
    figures = [_watched(bench, pictures), _unwatched(pictures[0])]
    try:
        with LocalBroker() as broker:
            return [*figures, *_viewers(bench, broker.url)]
    except BrokerMissingError as error:
        return [*figures, missing("C14", "with viewers", str(error))]


def _watched(bench: Bench, pictures: Sequence[Frame]) -> Figure:
    """CPU time of making a record: the JPEG and the JSON around it."""
    bench.say("  a watched picture")
    for each in pictures[:3]:
        picture(each, [_result(each.seq)])
    turns = [
        turn(lambda each=each: picture(each, [_result(each.seq)]), 1)  # type: ignore[misc]
        for each in [*pictures] * bench.extent.rounds
    ]
    costs = sorted(each.cpu_ms for each in turns)
    return Figure("C14", "CPU time per watched picture of 640x360", costs[len(costs) // 2], "ms", most=PER_PICTURE_MS)


def _unwatched(shown: Frame) -> Figure:
    hub, result = Hub(), _result(0)
    hub.describe(["dock"], ["look"], {})

    def step() -> None:
        for _ in range(1000):
            hub.offer(shown)
            hub.shown(result, shown)

    best_ms = min(turn(step, 1).wall_ms[0] for _ in range(20))
    return Figure("C14", "per picture while nobody watches", best_ms, "us", most=UNWATCHED_US)


def _result(seq: int) -> Result:
    return Result(
        id="01JD0000000000000000000000",
        device="bench",
        pipeline="look",
        source="dock",
        seq=seq,
        status="ok",
        captured_at="2026-11-21T05:33:19.123456Z",
        clock="synced",
        model=ModelId("bench", "1", "sha256:0"),
        answered_by="local",
        engine="onnxruntime",
        reason="local engine healthy",
        latency_ms=Latency(1, 1, 1, 1, 1, 5),
        frame=FrameSize(WIDTH, HEIGHT),
        detections=tuple(Detection("person", 0, 0.9, (seq, 10.0, seq + 20.0, 40.0), track=n) for n in range(3)),
    )


def _viewers(bench: Bench, url: str) -> list[Figure]:
    """The age of answers at 1280x720, with nobody and with viewers in turn."""
    bench.say(f"  {VIEWERS} viewers at 1280x720")
    port = _free_port()
    config = configuration(
        url, bench.material.detector(bench.extent.small), [f"file:{bench.material.film.resolve()}"], threads=1
    )
    alone: list[float] = []
    watched: list[float] = []
    cores: dict[str, list[float]] = {"alone": [], "watched": []}
    with (
        Subscriber(urlsplit(url).port or 0) as subscriber,
        Running(bench.room("page"), f'{config}[page]\nlisten = "127.0.0.1:{port}"\n') as running,
    ):
        subscriber.await_first()
        time.sleep(bench.extent.settle_s)
        for _ in range(bench.extent.rounds):
            ages, cpu = _ages(bench, subscriber, running)
            alone += ages
            cores["alone"].append(cpu)
            with _watching(port, VIEWERS):
                ages, cpu = _ages(bench, subscriber, running)
            watched += ages
            cores["watched"].append(cpu)
        running.check()
    details = {
        "alone_p50_ms": percentile(alone, 50),
        "alone_p99_ms": percentile(alone, 99),
        "watched_p50_ms": percentile(watched, 50),
        "watched_p99_ms": percentile(watched, 99),
        "alone_cores": sum(cores["alone"]) / len(cores["alone"]),
        "watched_cores": sum(cores["watched"]) / len(cores["watched"]),
    }
    ratio = percentile(watched, 99) / percentile(alone, 99)
    what = f"99th percentile of an answer's age, {VIEWERS} viewers over none"
    return [Figure("C14", what, ratio, "x", most=P99_WITH_VIEWERS, details=details)]


def _ages(bench: Bench, subscriber: Subscriber, running: Running) -> tuple[list[float], float]:
    """Milliseconds from the picture handed over to the answer, and the cores in use."""
    time.sleep(MARGIN_S)
    start_ns, cpu_s = time.time_ns(), cpu_s_of(running.pid)
    time.sleep(bench.extent.latency_s)
    end_ns, cpu_s = time.time_ns(), cpu_s_of(running.pid) - cpu_s
    heard = between(subscriber.heard(), start_ns, end_ns)
    ages = [(each.done_ns - each.ready_ns) / 1e6 for each in heard if each.fields.get("status") == "ok"]
    if not ages:
        raise Unavailable("no results came")
    return ages, cpu_s / ((end_ns - start_ns) / 1e9)


@contextmanager
def _watching(port: int, viewers: int) -> Iterator[None]:
    """In a process of their own."""
    process = subprocess.Popen([sys.executable, "-m", "scripts.benchmarks.page", str(port), str(viewers)])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _watch(port: int, viewers: int) -> None:
    """Body of the process."""
    with selectors.DefaultSelector() as selector:
        for _ in range(viewers):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            selector.register(connection, selectors.EVENT_READ, connection)
        while True:
            for key, _ in selector.select():
                if not key.data.recv(1 << 20):
                    return


if __name__ == "__main__":
    _watch(int(sys.argv[1]), int(sys.argv[2]))
