"""A link on which others ask and we answer: the body of a thread that keeps it and takes message after message."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from paho.mqtt.properties import Properties

from appliance.mailbox import Mailbox
from appliance.mqtt.connection import ConnectionGone, Greeting, Unsendable
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.link import Link
from appliance.mqtt.settings import LinkSettings

logger = logging.getLogger(__name__)

IDLE_S = 0.2
GOODBYE_S = 1.0


class Answering:
    """`run` is the body of the thread, on which `take` is called; `connected` and `words` are for any."""

    def __init__(self, settings: LinkSettings, asked: str, take: Callable[[Incoming], None], *, waiting: int) -> None:
        """`asked`: the topic filter. `waiting`: most messages that wait for `take`; the oldest give way."""
        self.connected = threading.Event()
        self._take = take
        self._ready = threading.Condition()
        self._waiting: Mailbox[Incoming] = Mailbox(waiting, self._ready)
        self._link = Link(settings, Greeting(subscriptions=(asked,)), self._waiting, self._ready)

    def run(self, stopping: threading.Event) -> None:
        """Until `stopping`."""
        try:
            while not stopping.is_set():
                now_s = time.monotonic()
                self._link.tend(now_s)
                self._link.events(now_s)
                if self._link.up is not None:
                    self.connected.set()
                for incoming in self._waiting.take_all(0, most=1):
                    self._take(incoming)
                with self._ready:
                    self._ready.wait_for(lambda: len(self._waiting) or self._link.has_events, IDLE_S)
        finally:
            self._link.finish(GOODBYE_S)

    @property
    def words(self) -> str:
        """How the connection is."""
        return self._link.words

    def answer(self, topic: str, payload: bytes, *, qos: int, properties: Properties) -> bool:
        """Whether it is on its way: whoever asked through a connection that was lost asks again."""
        if self._link.up is None:
            return False
        try:
            self._link.publish(topic, payload, qos=qos, properties=properties)
        except (ConnectionGone, Unsendable) as error:
            logger.debug("%s: not answered: %s", topic, error)
            return False
        return True
