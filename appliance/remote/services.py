"""Which model services are there, as they announce themselves, and what that means for one model."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

MOST_SERVICES = 256
"""Announcements are retained: whoever may write them could leave any number."""
MOST_MODELS = 1024


@dataclass(frozen=True, slots=True)
class Offer:
    """One model that a service has."""

    name: str
    version: str
    digest: str
    stages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """One model service, as it last said."""

    id: str
    state: str
    """`online`, `draining` or `offline`."""
    offers: tuple[Offer, ...] = ()
    capacity: int = 1
    """Questions that it works on at the same moment."""
    queue_ms: float = 0.0
    """How long a question waits before it is worked on."""
    busy: float = 0.0
    """Share of the time that it works, 0 to 1."""

    def offer(self, model: str, version: str | None = None) -> Offer | None:
        """What it has by this name, and of this version where one is asked for."""
        matching = (each for each in self.offers if each.name == model and version in (None, each.version))
        return next(matching, None)


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a model can be asked for now."""

    connected: bool
    words: str
    """How it stands, for a person: why it cannot be asked, or who is there."""
    services: tuple[Service, ...] = ()
    """Online, and with this model; the least busy first."""

    @property
    def usable(self) -> bool:
        """Whether a question is worth sending."""
        return self.connected and bool(self.services)


class Services:
    """The announcements, by service; used on one thread, `standing` on any."""

    def __init__(self) -> None:
        self.malformed = 0
        self._services: dict[str, Service] = {}

    def hear(self, service_id: str, payload: bytes) -> None:
        """A retained document of `model-service/<id>/available`; an empty one takes the service back."""
        services = dict(self._services)
        if not payload:
            services.pop(service_id, None)
        elif service_id in services or len(services) < MOST_SERVICES:
            try:
                services[service_id] = _service(service_id, json.loads(payload))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                self.malformed += 1
                services.pop(service_id, None)
        else:
            self.malformed += 1
        self._services = services  # as a whole: readers on other threads hold the one before

    def forget(self) -> None:
        """A new connection: whoever is there is told again."""
        self._services = {}

    def standing(self, model: str, version: str | None, connected: bool, words: str) -> Standing:
        """For one model; `words` say how the connection stands."""
        if not connected:
            return Standing(False, words)
        having = [each for each in self._services.values() if each.offer(model, version) is not None]
        online = tuple(sorted((each for each in having if each.state == "online"), key=lambda each: each.busy))
        if online:
            return Standing(True, f"{', '.join(each.id for each in online)} online", online)
        if having:
            states = ", ".join(f"{each.id} {each.state}" for each in having)
            return Standing(True, f"no model service with {model} is online ({states})")
        return Standing(True, f"no model service has {model}: start one with `appliance serve --model {model}`")


def _service(service_id: str, document: Any) -> Service:
    """Strict in what counts, so that nonsense cannot reach the decisions. Raises ValueError, TypeError, KeyError."""
    if document["state"] not in ("online", "draining", "offline"):
        raise ValueError(f"state {document['state']!r}")
    models = document.get("models", [])
    if len(models) > MOST_MODELS:
        raise ValueError(f"{len(models)} models")
    load = document.get("load") or {}
    return Service(
        id=service_id,
        state=document["state"],
        offers=tuple(_offer(each) for each in models),
        capacity=max(1, int(document.get("capacity", 1))),
        queue_ms=_number(load.get("queue_ms", 0.0)),
        busy=min(1.0, _number(load.get("busy", 0.0))),
    )


def _offer(document: Any) -> Offer:
    stages = tuple(each if isinstance(each, str) else each["name"] for each in document.get("stages", ()))
    return Offer(str(document["name"]), str(document["version"]), str(document.get("digest", "")), stages)


def _number(value: Any) -> float:
    number = float(value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{value!r} is no load")
    return number
