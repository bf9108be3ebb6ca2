"""A registry over MQTT 5: answers what devices ask, on each device's own topic."""

from __future__ import annotations

import logging
import threading
import time

from appliance.mailbox import Mailbox
from appliance.mqtt.connection import ConnectionGone, Greeting, Unsendable
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.link import Link
from appliance.mqtt.properties import Written
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import EVERY_FETCH, Topics, fetching
from appliance.registry.shelf import Gives, Missing
from appliance.sync.pieces import MISSING, TOTAL, Asked

logger = logging.getLogger(__name__)

MOST_WAITING = 2048
LONGEST_CORRELATION = 64
EXPIRES_S = 20
"""Whoever asked has asked again by then."""
IDLE_S = 0.2


class MqttServer:
    """`run` is the body of a thread."""

    def __init__(self, gives: Gives, settings: LinkSettings, base: str) -> None:
        """`base`: first level of the devices' topics."""
        self.answered = 0
        self.connected = threading.Event()
        self._gives = gives
        self._base = base
        self._ready = threading.Condition()
        self._questions: Mailbox[Incoming] = Mailbox(MOST_WAITING, self._ready)
        self._link = Link(settings, Greeting(subscriptions=(EVERY_FETCH,)), self._questions, self._ready)

    def run(self, stopping: threading.Event) -> None:
        try:
            while not stopping.is_set():
                now_s = time.monotonic()
                self._link.tend(now_s)
                self._link.events(now_s)
                if self._link.up is not None:
                    self.connected.set()
                for question in self._questions.take_all(0, most=64):
                    self._answer(question)
                with self._ready:
                    self._ready.wait_for(lambda: len(self._questions) or self._link.has_events, IDLE_S)
        finally:
            self._link.finish(1.0)

    @property
    def words(self) -> str:
        """How the connection is."""
        return self._link.words

    def _answer(self, incoming: Incoming) -> None:
        device, asked = fetching(incoming.topic), Asked.read(incoming.payload)
        if device is None or asked is None or len(incoming.correlation or b"") > LONGEST_CORRELATION:
            return
        content, user = b"", [(MISSING, "1")]
        try:
            piece = self._gives.read(asked.path, asked.offset, asked.most)
            content, user = piece.content, [(TOTAL, str(piece.total))]
        except Missing:
            pass
        except OSError as error:
            logger.error("%s: cannot be read: %s", asked.path, error)
            return
        properties = Written(expires_s=EXPIRES_S, correlation=incoming.correlation, user=user)
        if self._link.up is None:
            return
        try:
            self._link.publish(Topics(self._base, device).piece, content, qos=0, properties=properties)
            self.answered += 1
        except (ConnectionGone, Unsendable) as error:
            logger.debug("%s: not answered: %s", device, error)
