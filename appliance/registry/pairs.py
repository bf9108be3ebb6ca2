"""Pairs of retained documents of many devices, as the broker has them: what each is to do, and what it says to that."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from appliance.commands import BadCommand, strict_json
from appliance.mailbox import Mailbox
from appliance.mqtt.connection import ConnectionGone, Greeting, Unsendable
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.link import Link
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics
from appliance.registry.errors import RegistryError

logger = logging.getLogger(__name__)

WAITING = 20_000
IDLE_S = 0.1


class Pairs:
    """Turns its connection while one of its methods runs."""

    def __init__(
        self,
        settings: LinkSettings,
        base: str,
        desired: Callable[[Topics], str],
        reported: Callable[[Topics], str],
    ) -> None:
        """`desired`, `reported`: the two topics of a device."""
        self.reported: dict[str, dict[str, Any]] = {}
        """Name of a device: its newest report."""
        self.desired: dict[str, dict[str, Any]] = {}
        self._base = base
        self._topic = desired
        self._ready = threading.Condition()
        self._incoming: Mailbox[Incoming] = Mailbox(WAITING, self._ready)
        every = Topics(base, "+")
        self._leaf = {reported(every).rsplit("/", 1)[1]: self.reported, desired(every).rsplit("/", 1)[1]: self.desired}
        self._link = Link(
            settings, Greeting(subscriptions=(reported(every), desired(every))), self._incoming, self._ready
        )

    @property
    def words(self) -> str:
        """How the connection is."""
        return self._link.words

    @property
    def connected(self) -> bool:
        return self._link.up is not None

    def listen(self, until: Callable[[], bool], within_s: float) -> bool:
        """Hear what devices say until this is so; false when it is not within the time."""
        deadline_s = time.monotonic() + within_s
        while not until():
            now_s = time.monotonic()
            if now_s > deadline_s:
                return False
            self.turn(now_s)
        return True

    def next_number(self, device: str) -> int:
        """Higher than that of every document this device is known to have heard."""
        numbers = [each.get("n", 0) for each in (self.desired.get(device, {}), self.reported.get(device, {}))]
        return 1 + max(number for number in numbers if isinstance(number, int))

    def wish(self, device: str, document: dict[str, Any]) -> None:
        """Desire this of one device. Raises RegistryError for a name that no device has."""
        self.desired[device] = document
        topic = self._topic(Topics(self._base, device))
        try:
            self._link.publish(topic, json.dumps(document).encode(), qos=1, retain=True)
        except ConnectionGone:
            logger.warning("%s: the connection was lost while it was told; give the command again", device)
        except Unsendable as error:
            raise RegistryError(f"{device[:80]!r}: nobody can be told under this name: {error}") from error

    def turn(self, now_s: float) -> None:
        """Hear what has come; waits a moment when nothing has."""
        self._link.tend(now_s)
        self._link.events(now_s)
        for incoming in self._incoming.take_all(0):
            levels = incoming.topic.split("/")
            into = self._leaf.get(levels[-1])
            if into is None or len(levels) != 4:
                continue
            try:
                document = strict_json(incoming.payload) if incoming.payload else {}
            except BadCommand as error:
                logger.warning("%s: %s", incoming.topic, error)
                continue
            if isinstance(document, dict):
                into[levels[1]] = document
        with self._ready:
            self._ready.wait_for(lambda: len(self._incoming) or self._link.has_events, IDLE_S)

    def close(self) -> None:
        self._link.finish(1.0)
