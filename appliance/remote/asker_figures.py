"""What the asker says of itself, part of the health document."""

from __future__ import annotations

from dataclasses import dataclass, field

from appliance.remote.open_questions import RoundTrips


@dataclass(frozen=True, slots=True)
class AskerFigures:
    """A picture of one moment."""

    connected: bool = False
    broker: str = "not connected yet"
    """How the connection stands, in words for a person."""
    open: int = 0
    sent: int = 0
    """Questions given to the broker."""
    sent_bytes: int = 0
    """As MQTT packets."""
    answered: int = 0
    refused: int = 0
    """By a service, by the broker, or here because nothing could be sent; `reasons` tells them apart."""
    expired: int = 0
    late: int = 0
    """Answers after the deadline: counted, and that is all."""
    repeated: int = 0
    """Second answers to one question."""
    foreign: int = 0
    """Answers to questions that this process never asked."""
    malformed: int = 0
    """Messages that are no answer, or no announcement."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Code of a refusal: how often."""
    round_trips: RoundTrips = field(default_factory=RoundTrips)
    connects: int = 0
