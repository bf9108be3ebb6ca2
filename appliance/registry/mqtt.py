"""A registry over MQTT 5: answers what devices ask, on each device's own topic."""

from __future__ import annotations

import logging
import threading

from appliance.mqtt.answering import Answering
from appliance.mqtt.incoming import Incoming
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


class MqttServer:
    """`run` is the body of a thread."""

    def __init__(self, gives: Gives, settings: LinkSettings, base: str) -> None:
        """`base`: first level of the devices' topics."""
        self.answered = 0
        self._gives = gives
        self._base = base
        self._link = Answering(settings, EVERY_FETCH, self._answer, waiting=MOST_WAITING)
        self.connected = self._link.connected

    def run(self, stopping: threading.Event) -> None:
        self._link.run(stopping)

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
        self.answered += self._link.answer(Topics(self._base, device).piece, content, qos=0, properties=properties)
