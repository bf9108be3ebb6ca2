"""The live page from listening to stopping: `listen`, then `run` on the thread `page`, `encode` on `page encoder`."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from appliance.config import Config
from appliance.mailbox import Mailbox
from appliance.mqtt.topics import Topics
from appliance.oip.settings import address, is_loopback
from appliance.page.encoder import Encoder
from appliance.page.hub import Hub, Joined
from appliance.page.orders import Order
from appliance.page.record import Record
from appliance.page.session import Door
from appliance.page.settings import Page
from appliance.page.viewers import Viewer, Viewers
from appliance.secret import credential, secret, token

if TYPE_CHECKING:
    from appliance.oip.web_server import WebServer
    from appliance.page.sockets import Listener

logger = logging.getLogger(__name__)

STOP_WITHIN_S = 2
ORDERS = 64
DRAIN = 256
"""Records that may wait for the event loop; when it is busy for longer, the oldest give way."""


class LivePage:
    """One page for one device. `hub` is where every other thread leaves what there is to see."""

    def __init__(self, settings: Page, topics: Topics) -> None:
        """Raises ConfigError for a password or token that cannot be read or is too short."""
        password = secret(settings.password_file) if settings.password_file else None
        self.hub = Hub()
        self.orders: Mailbox[Order] = Mailbox(ORDERS)
        """Commands of viewers, for the main thread."""
        self.viewers = Viewers()
        self.door = Door(password, token(settings.token_file) if settings.token_file else None)
        self.root = topics.root
        self.address = ""
        """Where it can be reached, as a URL; known once it listens."""
        self.recordings: dict[str, Path] = {}
        """Folder of the clips of each pipeline that keeps some."""
        self._settings = settings
        self._device = topics.device
        self._encoder = Encoder(self.hub, self.root, self._show)
        self._records: Mailbox[tuple[Viewer | None, Record]] = Mailbox(DRAIN)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: Listener | None = None
        self._stopping: threading.Event | None = None

    # -- main thread ----------------------------------------------------------------------------------------------

    def listen(self) -> str:
        """From now on browsers connect, and wait for `run`. The URL; raises ConfigError, and then nothing is open."""
        from appliance.oip.sockets import check_pair
        from appliance.page.sockets import Listener

        pair = self.pair
        if pair is not None:
            check_pair("[page]", *pair)
        host, port = address(self._settings.listen)
        self._listener = Listener(host, port)
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{'https' if pair else 'http'}://{shown}:{self._listener.getsockname()[1]}/"
        return self.address

    def describe(self, config: Config, state: Path | None = None) -> None:
        """What runs from now on. `state`: the folder where recordings are."""
        from appliance.page.description import description
        from appliance.recorder.shelf import FOLDER

        kept = [pipeline.name for pipeline in config.pipeline if pipeline.recorder is not None]
        self.recordings = {} if state is None else {name: state / FOLDER / name for name in kept}

        document = description(config, locked=self.door.locked)
        sources = [source.name for source in config.sources]
        self.hub.describe(sources, [pipeline.name for pipeline in config.pipeline], document)

    # -- threads --------------------------------------------------------------------------------------------------

    def run(self, stopping: threading.Event) -> None:
        """Body of the thread `page`: serves until `stopping`, then closes everything."""
        self._stopping = stopping
        listener = self._listener
        assert listener is not None, "listen first"
        try:
            self._server(listener, stopping).run([listener])
        finally:
            self._loop = None
            listener.close()

    def encode(self, stopping: threading.Event) -> None:
        """Body of the thread `page encoder`."""
        self._encoder.run(stopping)

    def _show(self, records: Sequence[tuple[Viewer | None, Record]]) -> None:
        """On the encoder's thread: to the event loop, which is woken when nothing was waiting for it."""
        waiting = len(self._records) > 0
        for each in records:
            self._records.put(each)
        loop = self._loop
        if loop is not None and not waiting:
            loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        self.viewers.show(self._records.take_all(0))

    # -- event loop -----------------------------------------------------------------------------------------------

    @property
    def health(self) -> bytes:
        return self._encoder.memory.health

    @property
    def ending(self) -> bool:
        return self._stopping is not None and self._stopping.is_set()

    def joined(self, viewer: Viewer) -> None:
        self.hub.watched = len(self.viewers)
        self.hub.news.put(Joined(viewer))

    def left(self, viewer: Viewer) -> None:
        self.viewers.remove(viewer)
        self.hub.watched = len(self.viewers)

    def order(self, order: Order) -> None:
        self.orders.put(order)

    # -- the server -----------------------------------------------------------------------------------------------

    @property
    def pair(self) -> tuple[Path, Path] | None:
        """Certificate and key. Raises ConfigError for a credential that only the service has."""
        settings = self._settings
        if settings.cert_file is None or settings.key_file is None:
            return None
        return settings.cert_file, credential(settings.key_file)

    def application(self) -> Any:
        """The page, without a server around it."""
        from appliance.page.http import application

        host, _ = address(self._settings.listen)
        named = {socket.gethostname(), self._device, host, *self._settings.hosts}
        hosts = {name.lower() for name in named} | {f"{name.lower()}.local" for name in named if "." not in name}
        return application(
            self, loopback=is_loopback(host), hosts=frozenset(hosts), secure=self._settings.cert_file is not None
        )

    def _server(self, listener: Listener, stopping: threading.Event) -> WebServer:
        from appliance.oip.web_server import WebServer
        from appliance.page.sockets import connection_of

        page = self

        class Server(WebServer):
            """Wakes the page's viewers from its own loop."""

            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                page._loop = asyncio.get_running_loop()
                await super().startup(sockets)

            async def on_tick(self, counter: int) -> bool:
                page._drain()  # what came before the loop was there
                return await super().on_tick(counter)

        return Server(self.application(), stopping, self.pair, STOP_WITHIN_S, connection_of(listener))
