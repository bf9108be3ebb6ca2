"""Keeps Home Assistant told: posts what is new or different, takes back what is gone, says it again when it starts."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from appliance.home_assistant.entities import PER_LABEL, Config, Place, Seen, of_device, of_pipeline, of_source
from appliance.home_assistant.settings import HomeAssistant
from appliance.info import appliance_version
from appliance.mqtt.topics import Topics, home_assistant_config, home_assistant_status, original, plain
from appliance.sync.published import is_name
from appliance.uplink.outgoing import Outgoing, Publish

if TYPE_CHECKING:
    from appliance.assembly import Assembly
    from appliance.config import Config as Configuration
    from appliance.mqtt.incoming import Incoming

logger = logging.getLogger(__name__)

MOST_LABELS = 50
"""Of one pipeline: two entities each."""


class Announcer:
    """Used by the main thread. What an earlier run has told comes in through `hear`, before or after our first word."""

    def __init__(self, settings: HomeAssistant, topics: Topics, post: Callable[[Outgoing], None]) -> None:
        self._settings = settings
        self._topics = topics
        self._post = post
        self._told: dict[str, bytes] = {}
        """What the broker is to keep, by topic."""
        self._known: dict[str, dict[str, str]] = {}
        """By topic: id and platform of every component that Home Assistant may know."""
        self._measures: frozenset[str] = frozenset()
        self._begun = False
        own = home_assistant_config(settings.prefix, topics.device, plain(topics.base) + "__")
        self._own = own.removesuffix("/config")

    def is_for_us(self, topic: str) -> bool:
        """Whether `hear` is to have a message."""
        return topic.startswith(self._settings.prefix + "/")

    def hear(self, incoming: Incoming) -> None:
        """Home Assistant has started; or the broker keeps something of ours."""
        if incoming.topic == home_assistant_status(self._settings.prefix):
            if incoming.payload == b"online" and not incoming.retain:
                for topic, payload in self._told.items():
                    self._post(Publish(topic, payload, qos=1, retain=True))
            return
        if not incoming.retain or not incoming.payload or not incoming.topic.startswith(self._own):
            return
        known = self._known.setdefault(incoming.topic, {})
        for key, kind in _components(incoming.payload).items():
            known.setdefault(key, kind)
        if self._begun and incoming.topic not in self._told:
            self._take_back(incoming.topic)

    def announce(self, config: Configuration, assembly: Assembly, measures: frozenset[str]) -> None:
        """Post what differs from what was told. `measures`: what the device can tell now; what it could stays."""
        self._begun = True
        self._measures |= measures
        wanted = self._documents(config, assembly) if self._settings.discovery else {}
        for topic in {**self._told, **self._known}:
            if topic not in wanted:
                self._take_back(topic)
        for topic, document in wanted.items():
            known = self._known.setdefault(topic, {})
            now = {key: str(part["platform"]) for key, part in document["components"].items()}
            # A component that is only left out stays with Home Assistant; one with nothing but a platform goes.
            gone = {key: {"platform": kind} for key, kind in known.items() if now.get(key) != kind}
            known.update(now)
            payload = json.dumps({**document, "components": {**gone, **document["components"]}}, ensure_ascii=False)
            if self._told.get(topic) != payload.encode():
                self._told[topic] = payload.encode()
                self._post(Publish(topic, payload.encode(), qos=1, retain=True))

    def _take_back(self, topic: str) -> None:
        self._told.pop(topic, None)
        self._known.pop(topic, None)
        self._post(Publish(topic, b"", qos=1, retain=True))
        logger.info("%s: taken back from Home Assistant", topic)

    def _documents(self, config: Configuration, assembly: Assembly) -> dict[str, Config]:
        """Everything there is to tell, by topic; the device first, for the others refer to it."""
        together = tuple(each.name for each in config.together)
        models = tuple(
            dict.fromkeys(
                each.config.model
                for each in assembly.pipelines.values()
                if config.models is not None and is_name(each.config.model)
            )
        )
        place = Place(self._topics, appliance_version(), platform.machine(), self._measures, together, models)
        hears = {source.name: False for source in config.camera} | {source.name: True for source in config.microphone}
        documents = {self._topic("device"): of_device(place)}
        for source in assembly.feeds:
            documents[self._topic("source", source)] = of_source(place, source, hears[source])
        for name, pipeline in assembly.pipelines.items():
            topic = self._topic("pipeline", name)
            seen = Seen(
                name=name,
                source=pipeline.config.source,
                model=pipeline.config.model,
                hears=hears[pipeline.config.source],
                snapshot=pipeline.settings.snapshot,
                labels=self._labels(topic, pipeline.counts.labels, pipeline.labels),
            )
            documents[topic] = of_pipeline(place, seen)
        return documents

    def _labels(self, topic: str, counted: list[str], possible: tuple[str, ...]) -> tuple[str, ...]:
        """Labels with a count of this or an earlier run, unless the model cannot say them any more."""
        keys = [key.partition("-") for key in self._known.get(topic, {})]
        earlier = [original(rest) for kind, _, rest in keys if kind in PER_LABEL]
        labels = dict.fromkeys([*earlier, *counted])
        return tuple(sorted(label for label in labels if label in possible or not possible))[:MOST_LABELS]

    def _topic(self, *thing: str) -> str:
        levels = "__".join(plain(part) for part in (self._topics.base, *thing))
        return home_assistant_config(self._settings.prefix, self._topics.device, levels)


def _components(payload: bytes) -> dict[str, str]:
    """Id and platform of the components in a document that somebody wrote; empty for what is none."""
    try:
        document: Any = json.loads(payload)
        parts = document["components"]
        return {str(key): str(part["platform"]) for key, part in parts.items() if len(part) > 1}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
