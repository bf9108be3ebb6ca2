"""Body of the thread `harvest` of a model service: what devices send of their samples is stored, then acknowledged."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace

from appliance.harvest.barn import Barn, Receipt
from appliance.harvest.message import MOST_BYTES, Reply, reply_to_json, unpack
from appliance.mqtt.answering import Answering
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.properties import Written
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics, every_harvest, harvesting

logger = logging.getLogger(__name__)

MOST_WAITING = 64
"""Samples; a device sends one at a time, and again when nobody answers."""
MOST_ON_THE_WAY = 16
LONGEST_ID = 64
HEADROOM_BYTES = 64 << 10
"""For topic and properties."""
EXPIRES_S = 20
TRY_AGAIN_S = 10.0
"""A folder that cannot be made is tried again after so long."""


class Collector:
    """`run` is the body of the thread; `connected` and the numbers are for any."""

    def __init__(self, barn: Barn, link: LinkSettings, base: str, group: str) -> None:
        """`link`: with a client id that nobody else has. `base`: first level of the devices' topics. `group`: services
        of one group share the samples."""
        self.stored = self.refused = 0
        self._barn = barn
        self._base = base
        settings = replace(link, largest_incoming_bytes=MOST_BYTES + HEADROOM_BYTES, receive_most=MOST_ON_THE_WAY)
        self._link = Answering(settings, every_harvest(group), self._take, waiting=MOST_WAITING)
        self.connected = self._link.connected
        self._told = ""

    def run(self, stopping: threading.Event) -> None:
        """Until `stopping`."""
        while not stopping.is_set() and not self._prepared():
            stopping.wait(TRY_AGAIN_S)
        self._link.run(stopping)

    def _prepared(self) -> bool:
        try:
            self._barn.prepare()
        except OSError as error:
            self._say(f"{error.filename}: {error.strerror}: no samples are collected")
            return False
        return True

    def _take(self, incoming: Incoming) -> None:
        device, correlation = harvesting(incoming.topic), incoming.correlation or b""
        if device is None or not 0 < len(correlation) <= LONGEST_ID or not correlation.isalnum():
            return  # there is nobody to answer
        parts = unpack(incoming.payload)
        receipt = Receipt("refused", "it is no sample") if parts is None else self._barn.put(device, *parts)
        self.stored += receipt.new
        if receipt.status == "refused":
            self.refused += 1
            logger.warning("%s: a sample was refused: %s", device, receipt.words)
        if receipt.status == "later":
            self._say(receipt.words)
        elif receipt.new:
            self._told = ""
        said = reply_to_json(Reply(correlation.decode("ascii"), receipt.status, receipt.words))
        properties = Written(expires_s=EXPIRES_S, correlation=correlation)
        self._link.answer(Topics(self._base, device).harvest_said, said, qos=1, properties=properties)

    def _say(self, words: str) -> None:
        if words != self._told:
            logger.error("harvest: %s", words)
        self._told = words
