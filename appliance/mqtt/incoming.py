"""What the broker hands to us: one message of a topic we subscribe to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it came: nothing in it has been checked. At most `LinkSettings.largest_incoming_bytes` long."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    """True for a stored message that came because we subscribed, not because somebody spoke just now."""
    response_topic: str | None = None
    correlation: bytes | None = None
    """MQTT 5 correlation data; a response carries it back (`Publish.response_to`)."""
    expires_s: int | None = None
    """What was left of its life when the broker sent it."""
    user: tuple[tuple[str, str], ...] = ()
    """MQTT 5 user properties, in order."""


class Inbox(Protocol):
    """Where messages are put as they come, on paho's thread: a `Mailbox`, or whatever else never blocks."""

    def put(self, item: Incoming) -> None: ...
