"""A live page in this process, with nothing behind it but what a test gives it."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from appliance.config import Config, parse
from appliance.mqtt.topics import Topics
from appliance.page.record import LENGTHS
from appliance.page.serving import LivePage
from appliance.result import FrameSize, Latency, ModelId, Result
from capture.samples import Frame, Stamp
from engines.predictions import Detection
from tests.waiting import until

TOPICS = Topics("appliance", "box")
CONFIG = """
[device]
name = "box"
[[camera]]
name = "dock"
uri = "scene:shapes"
[[microphone]]
name = "ear"
uri = "wav:a.wav"
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
[[pipeline]]
name = "tones"
source = "ear"
model = "tones"
[page]
listen = "127.0.0.1:0"
"""


def configured(more: str = "", listen: str = "127.0.0.1:0") -> Config:
    return parse(CONFIG.replace("127.0.0.1:0", listen) + more, "test.toml")


def frame(seq: int, source: str = "dock", width: int = 320, height: int = 180) -> Frame:
    pixels = np.full((height, width, 3), (seq * 7) % 256, np.uint8)
    return Frame(source, seq, Stamp.now(), pixels, time.monotonic_ns())


def result(seq: int, pipeline: str = "shapes", source: str = "dock") -> Result:
    return Result(
        id=f"{pipeline}{seq}",
        device="box",
        pipeline=pipeline,
        source=source,
        seq=seq,
        status="ok",
        captured_at="2026-11-21T05:33:19.123456Z",
        clock="synced",
        model=ModelId("shapes", "1", "sha256:0"),
        answered_by="local",
        engine="onnxruntime",
        reason="local engine healthy",
        latency_ms=Latency(1, 1, 1, 1, 1, 5),
        frame=FrameSize(320, 180),
        detections=(Detection("red", 0, 0.9, (seq, 10.0, seq + 20, 40.0)),),
    )


def parted(stream: bytes) -> Iterator[tuple[Any, bytes]]:
    """The records of a stream, as far as they are complete."""
    place = 0
    while place + LENGTHS.size <= len(stream):
        head, body = LENGTHS.unpack_from(stream, place)
        start = place + LENGTHS.size
        place = start + head + body
        if place <= len(stream):
            yield json.loads(stream[start : start + head]), stream[start + head : place]


class Visitor:
    """One browser, or one program: one connection after another."""

    def __init__(self, page: LivePage, trusting: ssl.SSLContext | None = None) -> None:
        scheme, _, rest = page.address.partition("://")
        self._tls = scheme == "https"
        self._trusting = trusting
        host, _, port = rest.rstrip("/").rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)

    def connection(self) -> http.client.HTTPConnection:
        if self._tls:
            return http.client.HTTPSConnection(self.host, self.port, timeout=10, context=self._trusting)
        return http.client.HTTPConnection(self.host, self.port, timeout=10)

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        connection = self.connection()
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()


class Watcher:
    """Follows the stream on a thread of its own and keeps what came."""

    def __init__(self, visitor: Visitor) -> None:
        self._connection = visitor.connection()
        self._connection.request("GET", "/api/live")
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        self._bytes = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while piece := self._answer.read1(65536):
                self._bytes += piece
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            return  # it was closed

    def records(self, kind: str) -> list[tuple[Any, bytes]]:
        return [(head, body) for head, body in parted(bytes(self._bytes)) if head["type"] == kind]

    def awaits(self, kind: str, found: Callable[[Any], bool] = lambda _: True, within_s: float = 10) -> Any:
        """The first record of this type that is so: its head and its body."""
        return until(
            lambda: next(((head, body) for head, body in self.records(kind) if found(head)), None),
            within_s,
            what=f"a record {kind}",
        )

    def close(self) -> None:
        sock = self._connection.sock
        if sock is not None:
            sock.shutdown(2)
        self._connection.close()
        self._thread.join(5)


@contextmanager
def offered(config: Config) -> Iterator[LivePage]:
    """The page of this configuration until the block ends."""
    assert config.page is not None
    page = LivePage(config.page, TOPICS)
    page.listen()
    page.describe(config)
    stopping = threading.Event()
    threads = [threading.Thread(target=body, args=(stopping,), daemon=True) for body in (page.run, page.encode)]
    for thread in threads:
        thread.start()
    try:
        yield page
    finally:
        stopping.set()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def page() -> Iterator[LivePage]:
    with offered(configured()) as page:
        yield page


@pytest.fixture
def visitor(page: LivePage) -> Visitor:
    return Visitor(page)


@pytest.fixture
def watcher(page: LivePage, visitor: Visitor) -> Iterator[Watcher]:
    """One who watches already."""
    watcher = Watcher(visitor)
    watcher.awaits("hello")
    assert page.hub.watched == 1
    yield watcher
    watcher.close()
