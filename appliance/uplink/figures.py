"""What the uplink says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class UplinkFigures:
    """A picture of one moment, part of the health document."""

    connected: bool = False
    broker: str = "not connected yet"
    """How the connection stands, in words for a person."""
    alarms: tuple[str, ...] = ()
    """What a person has to see to: refused topics, an outbox that cannot be used, a damaged one that was replaced."""
    connects: int = 0
    accepted: int = 0
    """Documents in the outbox's books: accepted = stored + sent + dropped + dead."""
    stored: int = 0
    sent: int = 0
    dropped: int = 0
    dropped_by_reason: dict[str, int] = field(default_factory=dict)
    dead: int = 0
    resent: int = 0
    """Documents sent again by this process; receivers tell them by `spool`."""
    salvaged: int = 0
    in_flight: int = 0
    oldest_age_s: float = 0.0
    used_bytes: int = 0
    quota_bytes: int = 0
    disk_full: bool = False
    sync_p99_ms: float = 0.0
    """Time of a durable commit."""
    posts_sent: int = 0
    """Messages that are not spooled."""
    posts_dropped: dict[str, int] = field(default_factory=dict)
    intake_dropped: int = 0
    """Gave way in a burst before they were accepted."""
    incoming_dropped: int = 0
    epoch: str = ""
