"""Keeps a connection to the broker: makes a new one after the last, each time a little later, and knows why."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from paho.mqtt.properties import Properties

from appliance.backoff import Backoff
from appliance.config_errors import ConfigError
from appliance.mailbox import Mailbox
from appliance.mqtt.connection import Connection, ConnectionEvent, Deaf, Down, Greeting, LinkEvent, Up
from appliance.mqtt.eviction import Eviction
from appliance.mqtt.incoming import Inbox
from appliance.mqtt.reasons import Loss, suback_words, taken_over
from appliance.mqtt.settings import LinkSettings

logger = logging.getLogger(__name__)

PROVEN_AFTER_S = 5.0
"""A connection that lasted this long was a good one: the next begins with the shortest wait."""
SETTLED_AFTER = 3.0
"""A connection that lasted so many of the waits after being thrown out has the id for itself."""
EVENTS = 65_536
"""More than can be on its way, so that no acknowledgement is ever pushed out."""


class Link:
    """Used by one thread, which calls `tend` several times a second and `events` whenever `ready` is notified.

    `events` gives `Up` once per connection, then `Acknowledged`, then `Down`; between `Up` and `Down` `publish` may be
    called, also by other threads, under a lock that is held around `events` too. What an old connection still says is
    filtered out, and `Deaf` is kept here.
    """

    def __init__(self, settings: LinkSettings, greeting: Greeting, incoming: Inbox, ready: threading.Condition) -> None:
        self.words = "not connected yet"
        """What a person should know about the connection right now."""
        self.up: Up | None = None
        self.connects = 0
        self.deaf: dict[str, str] = {}
        """Topics that the broker does not let us subscribe to, and why."""
        self.next_try_s = 0.0
        """When `tend` connects, unless there is a connection."""
        self._settings = settings
        self._greeting = greeting
        self._incoming = incoming
        self._mail: Mailbox[ConnectionEvent] = Mailbox(EVENTS, ready)
        self._connection: Connection | None = None
        self._number = 0
        self._began_s = 0.0
        self._since_s = 0.0
        self._waits = {
            Loss.LOST: Backoff(settings.first_wait_s, settings.longest_wait_s),
            Loss.REFUSED: Backoff(2 * settings.first_wait_s, settings.longest_refused_wait_s),
            Loss.TAKEN_OVER: Backoff(settings.taken_over_wait_s, settings.taken_over_wait_s),
        }
        self._waits[Loss.UNREACHABLE] = self._waits[Loss.CLOSED] = self._waits[Loss.LOST]
        self._eviction = Eviction()

    @property
    def has_events(self) -> bool:
        return len(self._mail) > 0

    def tend(self, now_s: float) -> None:
        """Connect when it is time; give up a connection that does not answer or whose thread is gone."""
        connection = self._connection
        if connection is None:
            if now_s >= self.next_try_s:
                self._began_s = now_s
                self._connect()
        elif connection.overdue(now_s):
            words = f"{self._settings.address}: no answer to our greeting within {self._settings.answer_within_s:g} s"
            self._post_end(connection, Loss.UNREACHABLE, words)
        elif connection.dead and not self.has_events:
            self._post_end(connection, Loss.LOST, "the MQTT thread ended by itself")

    def _connect(self) -> None:
        self._number += 1
        connection = Connection(self._settings, self._greeting, self._number, self._mail, self._incoming)
        self._connection = connection
        try:
            connection.start()
        except ConfigError as e:
            self._post_end(connection, Loss.REFUSED, str(e))

    def give_up(self, words: str) -> None:
        """End this connection from our side; its `Down` follows like any other."""
        if self._connection is not None:
            self._post_end(self._connection, Loss.LOST, words)

    def _post_end(self, connection: Connection, loss: Loss, words: str) -> None:
        self._mail.put(Down(connection.number, loss, words))  # before paho says that the connection broke
        connection.abandon()

    def events(self, now_s: float) -> list[LinkEvent]:
        """What happened since the last call, in order; never waits."""
        current: list[LinkEvent] = []
        for event in self._mail.take_all(timeout_s=0):
            if self._connection is None or event.connection != self._connection.number:
                continue
            if isinstance(event, Deaf):
                self._note_deaf(event)
                continue
            current.append(event)
            if isinstance(event, Up):
                self._note_up(event, now_s)
            elif isinstance(event, Down):
                self._note_down(event, now_s)
        return current

    def _note_up(self, event: Up, now_s: float) -> None:
        self.up = event
        self.deaf.clear()
        self.connects += 1
        self._since_s = now_s
        self._eviction.connected(now_s, resumed=event.resumed, kept_s=event.kept_s)
        self.words = f"connected to {self._settings.address}"
        logger.info("%s as %s", self.words, self._settings.client_id)

    def _note_down(self, event: Down, now_s: float) -> None:
        if self.up is not None and now_s > self._since_s + PROVEN_AFTER_S:
            for backoff in self._waits.values():
                backoff.reset()
        loss, words = self._why(event, now_s)
        # An attempt that took long, such as to a network that is away, has waited already.
        waiting_since_s = now_s if self.up is not None else self._began_s
        self._connection = None
        self.up = None
        wait_s = max(self._waits[loss].next_s(), self._eviction.patience_s)
        self.next_try_s = max(waiting_since_s + wait_s, now_s + min(wait_s, self._settings.first_wait_s))
        if words != self.words:
            logger.warning("broker: %s; next attempt in %.1f s", words, self.next_try_s - now_s)
        self.words = words

    def _why(self, event: Down, now_s: float) -> tuple[Loss, str]:
        """What the end means, seen with those before it."""
        if self.up is not None and now_s > self._since_s + SETTLED_AFTER * self._settings.taken_over_wait_s:
            self._eviction.settled()
        if event.loss is not Loss.CLOSED:
            if event.loss is Loss.LOST:
                self._eviction.broke()
            else:
                self._eviction.away()
            return event.loss, event.words
        self._eviction.closed(now_s)
        if self._eviction.proven:
            return Loss.TAKEN_OVER, taken_over(self._settings.client_id)
        hint = f'; does another client use the id "{self._settings.client_id}"?' if self._eviction.patience_s else ""
        return event.loss, event.words + hint

    def _note_deaf(self, event: Deaf) -> None:
        words = suback_words(event.code)
        if self.deaf.get(event.topic) != words:
            logger.error("%s: %s", event.topic, words)
        self.deaf[event.topic] = words

    def hurry(self, now_s: float) -> None:
        """The reason of the last end is known or being found out: do not wait longer than after the first."""
        if not self._eviction.proven:
            self.next_try_s = min(self.next_try_s, now_s + self._settings.first_wait_s)

    def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool = False, properties: Properties | None = None
    ) -> int:
        """As `Connection.publish`; only between `Up` and `Down`."""
        assert self._connection is not None
        return self._connection.publish(topic, payload, qos=qos, retain=retain, properties=properties)

    def subscribe(self, topics: Sequence[str]) -> None:
        """As `Connection.subscribe`; only between `Up` and `Down`."""
        assert self._connection is not None
        self._connection.subscribe(topics)

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """As `Connection.unsubscribe`; only between `Up` and `Down`."""
        assert self._connection is not None
        self._connection.unsubscribe(topics)

    def finish(self, within_s: float) -> None:
        """Say goodbye if connected, and forget the connection."""
        if self._connection is None:
            return
        if self.up is not None:
            self._connection.finish(within_s)
        else:
            self._connection.abandon()
        self._connection = None
        self.up = None
        self.words = "disconnected in order"
