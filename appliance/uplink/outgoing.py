"""What threads hand to the uplink: something to publish now, or something that must not be lost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Publish:
    """Goes out when connected, is dropped and counted when not. The uplink encodes it."""

    topic: str
    document: Any
    """A contract type (see result.py), or bytes that go out as they are."""
    qos: int = 0
    retain: bool = False
    """Retained documents are remembered by the uplink and published again at every connection."""
    expires_s: int | None = None
    response_to: bytes | None = None
    """MQTT 5 correlation data of the request that this answers."""
    made_ns: int = field(default_factory=time.monotonic_ns, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Spool:
    """Goes to the outbox first, then to the broker at QoS 1, in the order of its stream."""

    topic: str
    document: Any
    """A contract type with a field `spool`, which the uplink fills in before encoding."""
    stream: str
    """Name of the stream whose sequence number it gets; by convention the pipeline's name."""
    priority: int = 1
    """On a full disk the lowest priority goes first, oldest first. 0 results, 1 events, 2 alarms."""
    made_ns: int = field(default_factory=time.monotonic_ns, compare=False, repr=False)


Outgoing: TypeAlias = Publish | Spool
