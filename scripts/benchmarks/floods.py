"""How long a good caller of a model service waits beside one who floods it: prints a table, or with --json a line.

python -m scripts.benchmarks.floods                     all kinds of floods, five minutes
python -m scripts.benchmarks.floods --via rest grpc --ms 20 --questions 100
python -m scripts.benchmarks.floods --only questions

A service whose model takes a stated time, in a process of its own; a flood in another, over the same transport, from an
address (over MQTT, a name) of its own, on sixteen connections. The good caller asks over one connection, at moments
that have nothing to do with what the service is doing: first alone, then beside the flood. All of them share the
processors of this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from appliance.mqtt.broker import LocalBroker
from scripts.benchmarks.crowd import Crowd, question_of
from scripts.benchmarks.floods_caller import GRPC, REST, SOUND, infer_message, question

TRANSPORTS = ("mqtt", "rest", "grpc")
READY_WITHIN_S = 30.0
SETTLED_S = 1.0
"""From the beginning of a flood until it counts."""
FLOOD_FOR_S = 300.0
OURS = "127.0.0.1"
THEIRS = {"rest": OURS, "grpc": "[::1]"}
"""Over REST a flood binds its sockets to another address; gRPC cannot, and comes over IPv6."""

Ask = Callable[[], float]
"""One question; milliseconds until it was answered."""


@dataclass(frozen=True, slots=True)
class Beside:
    """Milliseconds until the answer, in the middle and p95."""

    via: str
    flood: str
    alone_p50: float
    alone_p95: float
    beside_p50: float
    beside_p95: float
    unanswered: int

    @property
    def times(self) -> float:
        return self.beside_p50 / self.alone_p50

    @property
    def times_p95(self) -> float:
        return self.beside_p95 / self.alone_p95


def kinds_of(via: str) -> list[str]:
    if via != "mqtt":
        return list(REST if via == "rest" else GRPC)
    from tests.hostile_device import KINDS

    return list(KINDS)


@contextlib.contextmanager
def service(ms: float) -> Iterator[tuple[str, int, int]]:
    """The URL of its broker, and its ports of REST and gRPC."""
    http_port, grpc_port = _free_port(), _free_port()
    where = ["--http", f"{OURS}:{http_port}", "--grpc", f"[::]:{grpc_port}"]
    with LocalBroker() as broker:
        command = [sys.executable, "-m", "scripts.benchmarks.sleepy_service", "--broker", broker.url, "--id", "flooded"]
        process = subprocess.Popen([*command, "--ms", str(ms), *where], stderr=subprocess.DEVNULL)
        try:
            _await_ready(http_port)
            yield broker.url, http_port, grpc_port
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _await_ready(port: int) -> None:
    until_s = time.monotonic() + READY_WITHIN_S
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(OURS, port, timeout=5)
            connection.request("GET", "/v2/health/ready")
            ready = connection.getresponse().status == 200
            connection.close()
            if ready:
                return
        if time.monotonic() > until_s:
            raise SystemExit("the service is not ready")
        time.sleep(0.1)


# -- the good caller --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def over_rest(port: int) -> Iterator[Ask]:
    connection = http.client.HTTPConnection(OURS, port, timeout=20)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body, json_bytes = question()
    headers = {"Inference-Header-Content-Length": str(json_bytes)}

    def ask() -> float:
        began_s = time.perf_counter()
        connection.request("POST", "/v2/models/stated/infer", body, headers)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise OSError(f"status {response.status}")
        return 1e3 * (time.perf_counter() - began_s)

    with contextlib.closing(connection):
        yield ask


@contextlib.contextmanager
def over_grpc(port: int) -> Iterator[Ask]:
    import grpc  # type: ignore[import-untyped]  # it ships no types

    from appliance.oip.proto import messages

    request = infer_message(messages).SerializeToString()
    with grpc.insecure_channel(f"{OURS}:{port}") as channel:
        call = channel.unary_unary(f"/{messages.SERVICE}/ModelInfer")

        def ask() -> float:
            began_s = time.perf_counter()
            try:
                call(request, timeout=20)
            except grpc.RpcError as error:
                raise OSError(str(error)) from error
            return 1e3 * (time.perf_counter() - began_s)

        yield ask


@contextlib.contextmanager
def over_mqtt(url: str) -> Iterator[Ask]:
    host, _, port = url.removeprefix("mqtt://").rpartition(":")
    with Crowd(host, int(port), ["good"]) as crowd:

        def ask() -> float:
            known = crowd.ask("good", "stated", question_of("stated", sound=SOUND[0]), 5000.0)
            if not crowd.wait([known], 6.0) or not crowd.asked[known].answered:
                raise OSError("no answer")
            return crowd.asked[known].ms

        yield ask


# -- beside a flood ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def flood(via: str, url: str, port: int, kind: str) -> Iterator[None]:
    if via == "mqtt":
        command = ["tests.hostile_device", url.rpartition(":")[2], kind, str(FLOOD_FOR_S)]
    else:
        command = ["scripts.benchmarks.floods_caller", via, f"{THEIRS[via]}:{port}", kind, str(FLOOD_FOR_S)]
    with subprocess.Popen(
        [sys.executable, "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(SETTLED_S)
            yield
        finally:
            process.kill()


def asked_often(ask: Ask, count: int, pause_s: float) -> tuple[list[float], int]:
    """How long each answer took, and how many there were none to."""
    chance = random.Random(5)  # noqa: S311  # moments, no secrets
    took, unanswered = [], 0
    for _ in range(count):
        time.sleep(chance.uniform(0, pause_s))
        try:
            took.append(ask())
        except OSError:
            unanswered += 1
    return took, unanswered


def measure(via: str, kind: str, ms: float, count: int) -> Beside:
    with service(ms) as (url, http_port, grpc_port):
        good: Any = over_mqtt(url) if via == "mqtt" else over_rest(http_port) if via == "rest" else over_grpc(grpc_port)
        with good as ask:
            asked_often(ask, 5, 0.0)
            alone, _ = asked_often(ask, count, 2 * ms / 1e3)
            with flood(via, url, http_port if via == "rest" else grpc_port, kind):
                beside, unanswered = asked_often(ask, count, 2 * ms / 1e3)
    return Beside(
        via,
        kind,
        alone_p50=_percentile(alone, 50),
        alone_p95=_percentile(alone, 95),
        beside_p50=_percentile(beside, 50),
        beside_p95=_percentile(beside, 95),
        unanswered=unanswered,
    )


def _percentile(took: list[float], share: float) -> float:
    return round(float(np.percentile(took or [np.nan], share)), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--via", nargs="+", choices=TRANSPORTS, default=TRANSPORTS)
    parser.add_argument("--only", nargs="+", metavar="KIND", help="these floods")
    parser.add_argument("--ms", type=float, default=20.0, help="what the model takes")
    parser.add_argument("--questions", type=int, default=100, help="alone, and beside each flood")
    parser.add_argument("--json", action="store_true", help="one line instead of a table")
    asked = parser.parse_args()
    found = []
    for via in asked.via:
        for kind in asked.only or kinds_of(via):
            found.append(one := measure(via, kind, asked.ms, asked.questions))
            if not asked.json:
                print(
                    f"| {via} | {kind} | {one.alone_p50} / {one.alone_p95} | {one.beside_p50} / {one.beside_p95} | "
                    f"{one.times:.1f} / {one.times_p95:.1f} | {one.unanswered or ''} |",
                    flush=True,
                )
    if asked.json:
        print(
            json.dumps({"model_ms": asked.ms, "load": os.getloadavg()[0], "floods": [asdict(each) for each in found]})
        )


if __name__ == "__main__":
    main()
