"""What a viewer asks of the appliance, on its way to the main thread and back: the same commands as over MQTT."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Order:
    """One command. The main thread settles `done` with its answer, or with BadCommand."""

    topic: str
    """As it would be over MQTT."""
    payload: bytes
    done: Future[Any] = field(default_factory=Future)
