"""C16: what keeping clips costs the answers: the same pipeline with and without its recorder, in turns of one process.

A detector with random weights sees something new in every second, so there is no moment in which nothing is kept, and
clips are made into videos all the while: more than a camera at a door will ever ask for.
"""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

from appliance.mqtt.broker import BrokerMissingError, LocalBroker
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.beside import Turns, ages
from scripts.benchmarks.goals import Figure, missing
from scripts.benchmarks.material import Unavailable
from scripts.benchmarks.running import Running, configuration
from scripts.benchmarks.subscriber import Subscriber

GOALS = ("C16",)
WHAT = "99th percentile of an answer's age at 1280x720, with the recorder over without"
P99_WITH_RECORDER = 1.10
RECORDER = "[pipeline.recorder]\nbefore_s = 1.0\nafter_s = 1.0\nlongest_s = 2.0\n"
VIDEO_WITHIN_S = 60.0


def measure(bench: Bench) -> list[Figure]:
    try:
        with LocalBroker() as broker:
            return [_figure(bench, broker.url)]
    except BrokerMissingError as error:
        return [missing("C16", WHAT, str(error))]


def _figure(bench: Bench, url: str) -> Figure:
    bench.say("  the recorder at 1280x720")
    bundle = bench.material.detector(bench.extent.small)
    film = [f"file:{bench.material.film.resolve()}"]
    without = configuration(url, bundle, film, threads=1)
    room, turns = bench.room("recorder"), Turns()
    with Subscriber(urlsplit(url).port or 0) as subscriber, Running(room, without) as running:
        subscriber.await_first()
        for _ in range(bench.extent.beside_rounds):
            _begin(bench, subscriber, running, without)
            turns.alone.append(ages(bench, subscriber, running))
            since_ns = _begin(bench, subscriber, running, without + RECORDER)
            _await_video(room / "recordings", since_ns)
            turns.beside.append(ages(bench, subscriber, running))
        running.check()
    return turns.figure("C16", WHAT, P99_WITH_RECORDER, "recorded")


def _begin(bench: Bench, subscriber: Subscriber, running: Running, config: str) -> int:
    """The pipeline is made anew in every round of either kind; Unix time from which on it is."""
    running.reload(config)
    reloaded_ns = time.time_ns()
    while subscriber.await_first() < reloaded_ns:  # those that came before are told first
        pass
    time.sleep(bench.extent.settle_s)
    return reloaded_ns


def _await_video(folder: Path, since_ns: int) -> None:
    """Until the recorder makes one of a clip: from then on it keeps and makes clips at the same time."""
    deadline_s = time.monotonic() + VIDEO_WITHIN_S
    while not any(_written_ns(path) > since_ns for path in folder.glob("*/*.webm")):
        if time.monotonic() > deadline_s:
            raise Unavailable(f"no video was made within {VIDEO_WITHIN_S:g} s")
        time.sleep(0.1)


def _written_ns(path: Path) -> int:
    """0 for one that has just been moved to its place."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
