"""C17: what fetching a model costs the answers: one daemon, while 50 MB come over a link that is cut and while nothing
comes, in turns.

The link carries 10 Mbit/s, refuses everything in the rounds without a fetch, and breaks once more in the middle of each
round with one. A registry of our own serves over HTTP from this process, which does nothing else meanwhile.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from appliance.mqtt.broker import BrokerMissingError, LocalBroker
from appliance.registry.http import HttpServer
from appliance.registry.shelf import Shelf
from appliance.sync.carrier import Piece
from scripts.benchmarks.bench import Bench
from scripts.benchmarks.beside import Turns, ages
from scripts.benchmarks.goals import Figure, missing
from scripts.benchmarks.material import Unavailable
from scripts.benchmarks.running import Running, configuration
from scripts.benchmarks.subscriber import Subscriber
from tests.registries import Owner, as_version, noise, shipped
from tests.tcp_faults import FaultyProxy

GOALS = ("C17",)
WHAT = "99th percentile of an answer's age at 1280x720, while a model is fetched over while none is"
P99_WITH_FETCH = 1.10
MODEL = "fetched"
MODEL_BYTES = 50_000_000
LINK_BYTES_PER_S = 1_250_000.0
FLOWS_WITHIN_S = 60.0
ARRIVES_WITHIN_S = 120.0


def measure(bench: Bench) -> list[Figure]:
    try:
        with LocalBroker() as broker:
            return [_figure(bench, broker.url)]
    except BrokerMissingError as error:
        return [missing("C17", WHAT, str(error))]


def _figure(bench: Bench, url: str) -> Figure:
    bench.say("  a model of 50 MB at 1280x720")
    room, turns = bench.room("fetch"), Turns()
    film = [f"file:{bench.material.film.resolve()}"]
    config = configuration(url, bench.material.detector(bench.extent.small), film, threads=1)
    with _registry(room / "registry") as link:
        config += f'[models]\nregistry = "{link.url}"\nroot = "{room}/registry/metadata/root.json"\n'
        with Subscriber(urlsplit(url).port or 0) as subscriber, Running(room, config) as running:
            subscriber.await_first()
            time.sleep(bench.extent.settle_s)
            _desire(url)
            for _ in range(bench.extent.beside_rounds):
                turns.alone.append(ages(bench, subscriber, running))
                with link.flowing(breaks_after_s=bench.extent.latency_s / 2):
                    turns.beside.append(ages(bench, subscriber, running))
            running.check()
            link.deliver()
    return turns.figure("C17", WHAT, P99_WITH_FETCH, "fetching")


def _desire(url: str) -> None:
    """As an operator asks for it."""
    document = json.dumps({"n": 1, "models": {MODEL: {"version": "1"}}})
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.connect(urlsplit(url).hostname or "", urlsplit(url).port or 0)
    client.loop_start()
    client.publish("appliance/bench/models/desired", document, qos=1, retain=True).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


class _Gives:
    """Gives what a folder holds, and counts."""

    def __init__(self, folder: Path) -> None:
        self._shelf = Shelf(folder)
        self.given_bytes = 0

    def read(self, path: str, offset: int, most: int) -> Piece:
        piece = self._shelf.read(path, offset, most)
        self.given_bytes += len(piece.content)
        return piece


class _Link:
    """The way to a registry, at first cut."""

    def __init__(self, proxy: FaultyProxy, gives: _Gives) -> None:
        self.url = f"http://127.0.0.1:{proxy.port}"
        self._proxy = proxy
        self._gives = gives
        proxy.bytes_per_s = LINK_BYTES_PER_S
        proxy.refusing = True

    @contextmanager
    def flowing(self, breaks_after_s: float) -> Iterator[None]:
        """Within the block bytes come, but for one cut. Raises Unavailable when there are none, or none are left."""
        self._proxy.refusing = False
        self._await(self._gives.given_bytes + 1, FLOWS_WITHIN_S)
        cut = threading.Timer(breaks_after_s, self._proxy.reset)
        cut.start()
        yield
        cut.join()
        self._proxy.refusing = True
        self._proxy.reset()
        if self._gives.given_bytes >= MODEL_BYTES:
            raise Unavailable("the model had arrived before the last round ended")

    def deliver(self) -> None:
        """Let the rest arrive; raises Unavailable when it does not."""
        self._proxy.refusing, self._proxy.bytes_per_s = False, 0.0
        self._await(MODEL_BYTES, ARRIVES_WITHIN_S)

    def _await(self, wanted_bytes: int, within_s: float) -> None:
        deadline_s = time.monotonic() + within_s
        while self._gives.given_bytes < wanted_bytes:
            if time.monotonic() > deadline_s:
                raise Unavailable(f"{self._gives.given_bytes} of {wanted_bytes} bytes came within {within_s:g} s")
            time.sleep(0.05)


@contextmanager
def _registry(folder: Path) -> Iterator[_Link]:
    """One with a model that nobody runs, behind a link."""
    owner = Owner(folder)
    owner.publish(as_version(shipped("shapes"), "1", folder.with_name("bundles"), noise(MODEL_BYTES), MODEL))
    gives = _Gives(folder)
    server = HttpServer(gives, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with FaultyProxy(urlsplit(server.url).port or 0) as proxy:
            yield _Link(proxy, gives)
    finally:
        server.stop()
        thread.join()
