"""Kept samples on their way to a model service: one after the other, deleted here once the service has stored it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from appliance.backoff import Backoff
from appliance.harvest.message import MOST_BYTES, Reply, pack, reply_from_json
from appliance.harvest.sample import Harvested, to_json
from appliance.harvest.store import Store
from appliance.mailbox import Mailbox
from appliance.mqtt.connection import Acknowledged, ConnectionGone, Down, Greeting, Unsendable, Up, packet_bytes
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.link import Link
from appliance.mqtt.properties import Written
from appliance.mqtt.reasons import Verdict, puback_words, verdict
from appliance.mqtt.settings import LinkSettings
from appliance.mqtt.topics import Topics, harvest

logger = logging.getLogger(__name__)

PATIENCE_S = 20.0
"""Once the broker has a sample, a service has said what becomes of it after so long, or says nothing."""
LATER_S, LONGEST_LATER_S = 15.0, 300.0
"""So long a service is left alone that says nothing, cannot take samples now, or is not there; each time twice as long.
After a new connection a sample is sent at once."""
GOODBYE_WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class SenderFigures:
    """What health says of it."""

    sent: int = 0
    """Samples that a service has stored, since the start."""
    refused: int = 0
    """Samples that a service will never take: deleted."""
    words: str = "nothing was sent yet"


@dataclass(frozen=True, slots=True)
class _Flight:
    """The sample that is on its way."""

    about: Harvested
    mid: int
    taken_s: float | None = None
    """Since when the broker has it: a line may be slow."""

    @property
    def id(self) -> str:
        """The same however often it is sent, so that a late word about it still counts."""
        return f"{self.about.series}{self.about.number:08d}"


class Sender:
    """Of the thread `harvest`; only `figures` is for any. No sample stands in front of a result: the connection
    is its own."""

    def __init__(self, link: LinkSettings, topics: Topics, sends: frozenset[str]) -> None:
        """`link`: with a client id that nobody else has. `sends`: pipelines whose samples may leave the device."""
        self.figures = SenderFigures()
        self._topics = topics
        self._sends = sends
        self._ready = threading.Condition()
        self._incoming: Mailbox[Incoming] = Mailbox(64, self._ready)
        self._link = Link(link, Greeting(subscriptions=(topics.harvest_said,)), self._incoming, self._ready)
        self._flight: _Flight | None = None
        self._next_s = 0.0
        self._later = Backoff(LATER_S, LONGEST_LATER_S)
        self._last = ""
        """Pipeline whose sample was sent last: the others come first."""
        self._sent = self._refused = 0
        self._words = self.figures.words

    def wait(self, within_s: float) -> None:
        """Until the broker or a service says something."""
        with self._ready:
            self._ready.wait_for(lambda: len(self._incoming) > 0 or self._link.has_events, within_s)

    def turn(self, now_s: float, stores: Mapping[str, Store]) -> None:
        """Look after what is on its way, then send the next. Where the disk does not obey, it is left alone a while."""
        try:
            self._turn(now_s, stores)
        except OSError as error:
            self._postpone(f"{error.filename}: {error.strerror}", now_s)
        words = self._words if self._link.up is not None else self._link.words
        self.figures = SenderFigures(self._sent, self._refused, self._link.deaf.get(self._topics.harvest_said, words))

    def _turn(self, now_s: float, stores: Mapping[str, Store]) -> None:
        """Raises OSError."""
        self._link.tend(now_s)
        for event in self._link.events(now_s):
            if isinstance(event, (Up, Down)):
                self._flight, self._next_s = None, now_s
            elif isinstance(event, Acknowledged):
                self._heard_broker(event, now_s)
        for incoming in self._incoming.take_all(0):
            said = reply_from_json(incoming.payload)
            if said is not None and incoming.topic == self._topics.harvest_said:
                self._heard_service(said, stores, now_s)
        taken_s = None if self._flight is None else self._flight.taken_s
        if taken_s is not None and now_s - taken_s > PATIENCE_S:
            self._postpone("no service has answered", now_s)
        if self._link.up is not None and self._flight is None and now_s >= self._next_s:
            self._send_next(self._link.up, stores, now_s)

    def finish(self) -> None:
        """Say goodbye; what is on its way comes again."""
        self._link.finish(GOODBYE_WITHIN_S)

    def _send_next(self, up: Up, stores: Mapping[str, Store], now_s: float) -> None:
        waiting = [name for name in sorted(stores) if name in self._sends and len(stores[name])]
        if not waiting:
            return
        pipeline = next((name for name in waiting if name > self._last), waiting[0])
        self._last = pipeline
        store = stores[pipeline]
        name = store.oldest
        assert name is not None
        found = store.read(name)
        if found is not None:
            self._send(up, store, found[0], pack(to_json(found[0]), found[1]), now_s)

    def _send(self, up: Up, store: Store, about: Harvested, message: bytes, now_s: float) -> None:
        topic, flight = harvest(self._topics.device), _Flight(about, mid=0)
        properties = Written(
            expires_s=int(PATIENCE_S), response_topic=self._topics.harvest_said, correlation=flight.id.encode("ascii")
        )
        largest = min(up.largest_bytes, MOST_BYTES)
        if packet_bytes(topic, message, properties) > largest:
            self._give_up(store, about, f"it has {len(message)} bytes, {largest} can travel")
            return
        try:
            self._flight = replace(flight, mid=self._link.publish(topic, message, qos=1, properties=properties))
        except (ConnectionGone, Unsendable) as error:
            self._postpone(str(error), now_s)

    def _postpone(self, words: str, now_s: float) -> None:
        """What is on its way, or would be next, comes again later."""
        self._flight, self._words, self._next_s = None, words, now_s + self._later.next_s()

    def _heard_broker(self, event: Acknowledged, now_s: float) -> None:
        flight, outcome = self._flight, verdict(event.code)
        if flight is None or event.mid != flight.mid:
            return
        if outcome is Verdict.DONE:
            self._flight = replace(flight, taken_s=now_s)
            return
        nobody = "no model service collects samples: is `appliance serve --harvest FOLDER` running?"
        self._postpone(nobody if outcome is Verdict.NOBODY_LISTENS else puback_words(event.code), now_s)

    def _heard_service(self, said: Reply, stores: Mapping[str, Store], now_s: float) -> None:
        flight = self._flight
        if flight is None or said.id != flight.id:
            return
        self._flight = None
        store = stores.get(flight.about.pipeline)
        if said.status == "later":
            self._postpone(f"the service cannot take it now: {said.words}", now_s)
        elif store is not None and said.status == "stored":
            self._sent += 1
            self._words = "the last sample was stored"
            self._later.reset()
            store.remove(flight.about.name)
        elif store is not None:
            self._give_up(store, flight.about, said.words)

    def _give_up(self, store: Store, about: Harvested, words: str) -> None:
        """Nobody will ever take it."""
        logger.error("%s: sample %s was refused: %s", about.pipeline, about.name, words)
        self._refused += 1
        self._words = f"a sample was refused: {words}"
        store.remove(about.name)
