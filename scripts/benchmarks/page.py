"""C14: what the live page costs: nothing while nobody watches, little while somebody does, and never the engine's time.

As a program it is so many viewers of a page: PORT VIEWERS. They come and go with lines on standard input, `watch` and
`leave`, read and throw away, and say `watching` once each has a picture.
"""

from __future__ import annotations

import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

from appliance.mqtt.broker import BrokerMissingError, LocalBroker
from appliance.page.encoder import picture
from appliance.page.hub import Hub
from appliance.result import FrameSize, Latency, ModelId, Result
from capture.samples import Frame
from engines.predictions import Detection
from scripts.benchmarks.bench import Bench, frame
from scripts.benchmarks.beside import Turns, ages
from scripts.benchmarks.goals import Figure, missing
from scripts.benchmarks.material import Unavailable
from scripts.benchmarks.running import Running, configuration
from scripts.benchmarks.subscriber import Subscriber
from scripts.benchmarks.timing import turn

GOALS = ("C14",)
PER_PICTURE_MS = 0.6
UNWATCHED_US = 1.0
P99_WITH_VIEWERS = 1.05
VIEWERS = 5
PICTURE_BYTES = 16 << 10
"""More than anything else that the page sends at once."""
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
    turns = Turns()
    with (
        Subscriber(urlsplit(url).port or 0) as subscriber,
        Running(bench.room("page"), f'{config}[page]\nlisten = "127.0.0.1:{port}"\n') as running,
        _Viewers(port) as viewers,
    ):
        subscriber.await_first()
        time.sleep(bench.extent.settle_s)
        for _ in range(bench.extent.viewer_rounds):
            turns.alone.append(ages(bench, subscriber, running))
            with viewers.watching():
                turns.beside.append(ages(bench, subscriber, running))
        running.check()
    what = f"99th percentile of an answer's age, {VIEWERS} viewers over none"
    return [turns.figure("C14", what, P99_WITH_VIEWERS, "watched")]


class _Viewers:
    """In a process of their own, which starts before anything is measured."""

    def __init__(self, port: int) -> None:
        self._command = [sys.executable, "-m", "scripts.benchmarks.page", str(port), str(VIEWERS)]

    def __enter__(self) -> _Viewers:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block each has had a picture and is shown the next."""
        self._say("watch")
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "watching\n":
            raise Unavailable("the page shows no pictures")
        try:
            yield
        finally:
            self._say("leave")

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _watch(port: int, viewers: int) -> None:
    """Body of the process."""
    piece = bytearray(1 << 18)
    while sys.stdin.readline():
        with selectors.DefaultSelector() as selector, ExitStack() as stack:
            selector.register(sys.stdin, selectors.EVENT_READ)
            waiting = set()
            for _ in range(viewers):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                connection.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                selector.register(connection, selectors.EVENT_READ)
                waiting.add(connection)
            while sys.stdin not in (ready := [key.fileobj for key, _ in selector.select()]):
                for each in ready:
                    assert isinstance(each, socket.socket)
                    if not (count := each.recv_into(piece)):
                        return
                    if each in waiting and count > PICTURE_BYTES:
                        waiting.remove(each)
                        if not waiting:
                            sys.stdout.write("watching\n")
                            sys.stdout.flush()
            sys.stdin.readline()


if __name__ == "__main__":
    _watch(int(sys.argv[1]), int(sys.argv[2]))
