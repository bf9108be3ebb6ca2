"""A device and a registry, over a real HTTP server or a real broker; what is given away can be somebody else's."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics
from appliance.registry.http import HttpServer
from appliance.registry.mqtt import MqttServer
from appliance.registry.shelf import Gives, Shelf
from appliance.sync.budget import Budget
from appliance.sync.carrier import Carrier, Piece
from appliance.sync.clock_floor import ClockFloor
from appliance.sync.fetch import Fetcher, Progress
from appliance.sync.http_carrier import HttpCarrier
from appliance.sync.ledger import Ledger
from appliance.sync.mqtt_carrier import MqttCarrier
from appliance.sync.published import Reference
from appliance.sync.trust import look
from tests.conftest import Broker
from tests.waiting import until

TOPICS = Topics("appliance", "dock-1")
MOST_BYTES = 200 << 20


class Hands:
    """Gives what a folder holds, until it is told otherwise; counts what it gave."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.changed: Callable[[str, int, Piece], Piece] = lambda _path, _offset, piece: piece
        self.silent = False
        self.given_bytes = 0

    def read(self, path: str, offset: int, most: int) -> Piece:
        if self.silent:
            raise OSError("says nothing")
        piece = self.changed(path, offset, Shelf(self.folder).read(path, offset, most))
        if path.startswith("targets/"):
            self.given_bytes += len(piece.content)
        return piece


@contextmanager
def served_http(gives: Gives) -> Iterator[Callable[[], Carrier]]:
    server = HttpServer(gives, "127.0.0.1", 0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield lambda: HttpCarrier(server.url, patience_s=4.0)
    finally:
        server.stop()
        thread.join()


@contextmanager
def served_mqtt(gives: Gives, broker: Broker) -> Iterator[Callable[[], Carrier]]:
    stopping = threading.Event()
    server = MqttServer(gives, LinkSettings(broker.url, "registry", first_wait_s=0.05), "appliance")
    thread = threading.Thread(target=server.run, args=(stopping,))
    thread.start()
    settings = LinkSettings(broker.url, "appliance-dock-1-models", first_wait_s=0.05)
    try:
        until(server.connected.is_set, what="the registry is connected")
        yield lambda: MqttCarrier(settings, TOPICS, threading.Event(), patience_s=4.0)
    finally:
        stopping.set()
        thread.join()


class Device:
    """Fetches versions with the parts that the product uses."""

    def __init__(self, folder: Path, anchor: bytes, carrier: Callable[[], Carrier]) -> None:
        self.folder = folder
        self.anchor = anchor
        self.carrier = carrier
        self.wall_s: Callable[[], float] = time.time
        self.most_bytes = MOST_BYTES
        self.tries = 3
        self.progress = Progress()
        self.copies = 0

    def pull(self, reference: str, donors: tuple[Path, ...] = ()) -> Mapping[str, Path]:
        """The files of a version, as signed; raises what the parts raise."""
        wanted = Reference.parse(reference)
        with Ledger(self.folder / "models.db") as ledger, self.carrier() as carrier:
            clock = ClockFloor(ledger, self.wall_s, lambda: False)
            catalogue = look(self.folder / "tuf", self.anchor, carrier, ledger, clock)
            fetcher = Fetcher(
                carrier,
                self.folder / "parts",
                budget=Budget(None, lambda _s: None),
                wait=lambda s: threading.Event().wait(min(s, 0.01)),
                most_bytes=self.most_bytes,
                tries=self.tries,
            )
            offer = fetcher.offered(catalogue, wanted)
            try:
                return fetcher.fetch(offer, donors, lambda _progress: None)
            finally:
                self.progress = fetcher.progress


def copied(folder: Path, to: Path) -> Path:
    """A registry as it is now, to be shown later."""
    shutil.copytree(folder, to)
    return to
