"""What somebody who opens the page is shown at once: how things stand, and what has happened lately."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from appliance.health import Health
from appliance.page.record import Record, record
from appliance.result import Event, Gap, to_json
from appliance.uplink.outgoing import Outgoing

EVENTS = 60
STATES = 1000
"""Retained documents: availability, states and counts; a model may know many labels."""
SNAPSHOT = "snapshot"


class Memory:
    """Of the thread `page encoder`."""

    def __init__(self) -> None:
        self._described: Record | None = None
        self._states: OrderedDict[str, Record] = OrderedDict()
        self._events: OrderedDict[tuple[str, str, int], Record] = OrderedDict()
        self._health: Record | None = None
        self.health: bytes = b"{}"
        """The newest health document, as JSON."""

    def everything(self) -> Iterator[Record]:
        """For one who has just come; oldest events first."""
        if self._described is not None:
            yield self._described
        yield from self._states.values()
        if self._health is not None:
            yield self._health
        yield from self._events.values()

    def describe(self, document: dict[str, Any]) -> Record:
        self._states.clear()
        self._described = record({"type": "hello", **document})
        return self._described

    def standing(self, health: Health) -> Record:
        self.health = to_json(health)
        self._health = record(self.health, place="health")
        return self._health

    def happened(self, event: Event | Gap, thumbnail: bytes) -> Record:
        """Something for the list of events, with a small JPEG where there is one."""
        kind = event.event if isinstance(event, Event) else "gap"
        identity = (event.id, kind, event.seq) if isinstance(event, Event) else (event.at, kind, event.first)
        made = self._events[identity] = record(to_json(event), thumbnail)
        while len(self._events) > EVENTS:
            self._events.popitem(last=False)
        return made

    def state(self, document: Outgoing, root: str) -> Record | None:
        """A retained document below the device's own level of topics; None for one that the page does not show."""
        path = document.topic.removeprefix(root + "/")
        match path.split("/"):
            case ["source" | "pipeline", _, "state" | "available"] | ["pipeline", _, "count", _]:
                value = document.document.decode() if isinstance(document.document, bytes) else document.document
            case _:
                return None
        if value == "":  # an empty retained document takes its topic away
            self._states.pop(path, None)
            return record({"type": "state", "path": path, "value": None}, place=path)
        made = self._states[path] = record({"type": "state", "path": path, "value": value}, place=path)
        while len(self._states) > STATES:
            self._states.popitem(last=False)
        return made
