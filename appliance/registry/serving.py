"""A registry at work: what is published, over HTTP and MQTT, signed again before it ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from appliance.mqtt.settings import LinkSettings
from appliance.registry.errors import RegistryError
from appliance.registry.http import HttpServer
from appliance.registry.keyring import Keyring
from appliance.registry.mqtt import MqttServer
from appliance.registry.repository import KEYS, Repository
from appliance.registry.rotate import renew
from appliance.registry.shelf import Shelf

logger = logging.getLogger(__name__)

RENEW_EVERY_S = 600.0
RENEW_WITHIN = timedelta(hours=12)
STOP_WITHIN_S = 5.0


class Serving:
    """Listens when it is made; `run` serves on threads of its own, and signs on the caller's."""

    def __init__(
        self,
        folder: Path,
        listen: tuple[str, int] | None,
        tls: tuple[Path | None, Path | None],
        link: LinkSettings | None,
        base: str,
        passphrase: str | None,
    ) -> None:
        """`passphrase`: of the keys that sign snapshot and timestamp again; None leaves that to somebody else. Raises
        RegistryError, ConfigError."""
        shelf = Shelf(folder)
        self._folder = folder
        self._passphrase = passphrase
        self._stopping = threading.Event()
        self._bodies: dict[str, Callable[[], None]] = {}
        places = []
        if link is not None:
            mqtt = MqttServer(shelf, link, base)
            self._bodies["registry mqtt"] = lambda: mqtt.run(self._stopping)
            places.append(f"through {link.address}")
        self._http = None if listen is None else HttpServer(shelf, *listen, *tls)
        if self._http is not None:
            self._bodies["registry http"] = self._http.run
            places.append(f"at {self._http.url}")
        self.where = " and ".join(places)
        """How it is reached, in words."""

    def run(self, stopping: threading.Event, for_s: float | None = None) -> None:
        """Until `stopping` is set, or for so many seconds."""
        threads = [threading.Thread(target=body, name=name, daemon=True) for name, body in self._bodies.items()]
        for thread in threads:
            thread.start()
        left_s = for_s
        while not stopping.is_set() and (left_s is None or left_s > 0):
            if self._passphrase is not None:
                self._renew(self._passphrase)
            wait_s = RENEW_EVERY_S if left_s is None else min(RENEW_EVERY_S, left_s)
            stopping.wait(wait_s)
            left_s = None if left_s is None else left_s - wait_s
        self._stopping.set()
        if self._http is not None:
            self._http.stop()
        for thread in threads:
            thread.join(STOP_WITHIN_S)

    def _renew(self, passphrase: str) -> None:
        """Sign again what ends within hours. Where somebody else is changing the registry, the next turn does it."""
        try:
            with Repository(self._folder).changing():
                done = renew(Repository(self._folder), Keyring([self._folder / KEYS], passphrase), RENEW_WITHIN)
            if done:
                logger.info("signed again: %s", ", ".join(done))
        except (RegistryError, OSError) as error:
            logger.error("not signed again: %s", error)
