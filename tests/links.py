"""A link that a test turns by hand, instead of the uplink's thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

from appliance.mailbox import Mailbox
from appliance.mqtt.connection import Greeting, LinkEvent
from appliance.mqtt.incoming import Incoming
from appliance.mqtt.link import Link
from appliance.mqtt.settings import LinkSettings
from tests.uplinks import Listener
from tests.waiting import until

E = TypeVar("E", bound=LinkEvent)
WILL = "appliance/dock-1/available"


class Hand:
    """Turns a link by hand, as the uplink's thread does."""

    def __init__(self, url: str, subscriptions: tuple[str, ...] = (), **changes: Any) -> None:
        settings = LinkSettings(url, client_id="appliance-dock-1", first_wait_s=0.05, longest_wait_s=0.2)
        self.ready = threading.Condition()
        self.incoming: Mailbox[Incoming] = Mailbox(100)
        greeting = Greeting(WILL, b"offline", subscriptions)
        self.link = Link(replace(settings, **changes), greeting, self.incoming, self.ready)
        self._waiting: list[LinkEvent] = []

    def await_event(self, kind: type[E], within_s: float = 5.0) -> E:
        """Turn until such an event comes; what comes before it is forgotten."""
        deadline_s = time.monotonic() + within_s
        while True:
            while self._waiting:
                event = self._waiting.pop(0)
                if isinstance(event, kind):
                    return event
            assert time.monotonic() < deadline_s, f"no {kind.__name__} within {within_s} s: {self.link.words}"
            self.turn()

    def at(self, now_s: float) -> LinkEvent:
        """The next event, on a clock of the test's own."""
        while True:
            with self.ready:
                assert self.ready.wait_for(lambda: self.link.has_events, 5)
            if events := self.link.events(now_s):
                return events[0]

    def hears(self, listener: Listener, topic: str) -> None:
        """Until its subscription holds."""

        def heard(payload: bytes) -> bool:
            listener.publish(topic, payload)
            self.turn()
            return payload in [message.payload for message in self.incoming.take_all(0)]

        until(lambda: heard(b"ready"))
        until(lambda: heard(b"last"))

    def turn(self, wait_s: float = 0.02) -> bool:
        """Once. False, so that it can stand in a condition."""
        self.link.tend(time.monotonic())
        with self.ready:
            self.ready.wait_for(lambda: self.link.has_events, wait_s)
        self._waiting += self.link.events(time.monotonic())
        return False


@contextmanager
def turned(url: str, subscriptions: tuple[str, ...] = (), **changes: Any) -> Iterator[Hand]:
    hand = Hand(url, subscriptions, **changes)
    try:
        yield hand
    finally:
        hand.link.finish(within_s=1.0)
