"""C12: from nothing to the first answer, and the memory that takes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from appliance.mqtt.broker import BrokerMissingError, LocalBroker
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.goals import Figure, missing
from scripts.benchmarks.material import Unavailable
from scripts.benchmarks.running import Running, configuration, memory_mb_of
from scripts.benchmarks.subscriber import Subscriber
from scripts.benchmarks.timing import middle

GOALS = ("C12",)
FIRST_RESULT_S, MEMORY_MB = 0.5, 160.0
OF_PEER_START, OF_PEER_MEMORY = 0.25, 0.4
STEADY_S = 3.0


def measure(bench: Bench) -> list[Figure]:
    bench.say("  cold starts")
    size = bench.extent.small
    picture = _picture(bench)
    predict_s = middle([_predict_s(bench, picture) for _ in range(bench.extent.starts)])
    figures = [
        Figure("C12", f"`appliance predict` to its first result, {size}", predict_s, "s", most=FIRST_RESULT_S),
        Figure("C12", "`appliance --help`", middle([_help_s() for _ in range(bench.extent.starts)]), "s"),
    ]
    try:
        with LocalBroker() as broker:
            started = [_run(bench, broker.url) for _ in range(max(1, bench.extent.starts // 2))]
    except BrokerMissingError as error:
        return [*figures, missing("C12", "`appliance run`", str(error))]
    run_s, memory_mb = middle([seconds for seconds, _ in started]), middle([memory for _, memory in started])
    what = f"memory of `appliance run`: one model at {size}, a camera, MQTT"
    figures += [
        Figure("C12", f"`appliance run` to the first result at a subscriber, {size}", run_s, "s"),
        Figure("C12", what, memory_mb, "MB", most=MEMORY_MB),
    ]
    return figures + _against_peer(bench, predict_s, memory_mb)


def _picture(bench: Bench) -> Path:
    import cv2

    path = bench.room("picture") / "picture.png"
    cv2.imwrite(str(path), bench.material.pictures()[0])
    return path


def _predict_s(bench: Bench, picture: Path) -> float:
    bundle = bench.material.detector(bench.extent.small).folder
    command = [sys.executable, "-m", "appliance", "predict", str(bundle), str(picture), "--json"]
    started_s = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.monotonic() - started_s
        _, words = process.communicate()
    if not line:
        raise Unavailable(f"`appliance predict` gave no result: {words.decode(errors='replace')[-300:]}")
    return seconds


def _help_s() -> float:
    started_s = time.monotonic()
    subprocess.run([sys.executable, "-m", "appliance", "--help"], check=True, capture_output=True)
    return time.monotonic() - started_s


def _run(bench: Bench, url: str) -> tuple[float, float]:
    """Seconds until a subscriber has the first result; memory in MB a while later."""
    film = f"file:{bench.material.film.resolve()}"
    config = configuration(url, bench.material.detector(bench.extent.small), [film], threads=bench.threads)
    with Subscriber(urlsplit(url).port or 0) as subscriber, Running(bench.room("start"), config) as running:
        first_ns = subscriber.await_first()
        time.sleep(min(STEADY_S, bench.extent.latency_s))
        running.check()
        return (first_ns - running.started_ns) / 1e9, memory_mb_of(running.pid)


def _against_peer(bench: Bench, predict_s: float, memory_mb: float) -> list[Figure]:
    what = ("first result over Ultralytics'", "memory over Ultralytics'")
    if bench.peer is None or bench.extent.small != 320:
        return [missing("C12", each, bench.no_peer) for each in what]
    material = bench.material
    try:
        network = bench.peer.network(material, 320)
        starts = [bench.peer.first(network, 320) for _ in range(max(1, bench.extent.starts // 2))]
    except Unavailable as error:
        return [missing("C12", each, str(error)) for each in what]
    peer_s, peer_mb = middle([seconds for seconds, _ in starts]), middle([memory for _, memory in starts])
    return [
        Figure("C12", what[0], predict_s / peer_s, "x", most=OF_PEER_START, details={"ultralytics_s": peer_s}),
        Figure("C12", what[1], memory_mb / peer_mb, "x", most=OF_PEER_MEMORY, details={"ultralytics_mb": peer_mb}),
    ]
