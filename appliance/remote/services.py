"""Which model services are there, as they announce themselves, and what that means for one model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from appliance.questions.announcement import Announcement, ServedModel, announcement_from_json
from appliance.questions.tensors import BadTensor

MOST_SERVICES = 256
"""Announcements are retained: whoever may write them could leave any number."""
NOBODY = "no model service is there: start one with `appliance serve`"


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that an online service has ready."""

    service: str
    model: ServedModel
    busy: float
    """Share of the last seconds in which the service's busiest model was at work."""
    largest_bytes: int
    """Longest payload that the service takes."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a model can be asked for now."""

    connected: bool
    words: str
    """How it stands, for a person: why it cannot be asked, or who is there."""
    offers: tuple[Offer, ...] = ()
    """The least wait first."""

    @property
    def usable(self) -> bool:
        """Whether a question is worth sending."""
        return self.connected and bool(self.offers)


class Services:
    """The announcements, by service; filled on one thread, `standing` on any."""

    def __init__(self) -> None:
        self.malformed = 0
        self._services: dict[str, Announcement] = {}

    def hear(self, service: str, payload: bytes) -> None:
        """A retained document of `model-service/<id>/available`; an empty one takes the service back."""
        services = dict(self._services)
        known = services.pop(service, None)
        if payload:
            try:
                announcement = announcement_from_json(payload)
                if announcement.service != service:
                    raise BadTensor(f"{service} announces {announcement.service}")
                if known is None and len(services) >= MOST_SERVICES:
                    raise BadTensor("there are more services than anybody has")
                services[service] = announcement
            except BadTensor:
                self.malformed += 1
        self._services = services  # as a whole: readers on other threads hold the one before

    def forget(self) -> None:
        """A new connection: whoever is there is told again."""
        self._services = {}

    def standing(self, model: str, version: str | None, connected: bool, words: str) -> Standing:
        """For one model, in this version where one is asked for; `words` say how the connection stands."""
        if not connected:
            return Standing(False, words)
        services = self._services.values()
        offers = tuple(sorted(_offers(services, model, version), key=_wait_ms))
        if offers:
            return Standing(True, f"{', '.join(each.service for each in offers)} online", offers)
        return Standing(True, " and ".join(_why_not(each, model, version) for each in services) or NOBODY)


def _offers(services: Iterable[Announcement], model: str, version: str | None) -> Iterator[Offer]:
    for service in services:
        found = _model(service, model)
        if service.state == "online" and found is not None and found.ready and version in (None, found.version):
            yield Offer(service.service, found, service.load.busy, service.largest_bytes)


def _model(service: Announcement, name: str) -> ServedModel | None:
    return next((each for each in service.models if each.name == name), None)


def _wait_ms(offer: Offer) -> float:
    return offer.model.queue_ms


def _why_not(service: Announcement, model: str, version: str | None) -> str:
    """Why this service does not answer for this model now."""
    found = _model(service, model)
    if service.state != "online":
        return f"{service.service} is {service.state}"
    if found is None:
        return f"{service.service} has no {model}"
    if not found.ready:
        return f"{service.service} cannot run {model}: {found.fault or 'it is being opened'}"
    return f"{service.service} has {model} {found.version}, not {version}"
