"""What Home Assistant is told of a device, a source or a pipeline: its discovery documents, from plain values.

Keys are those of https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload, written in full. What a
device may not have said yet is looked up with `get`, so that no template fails.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from appliance.mqtt.topics import Topics, plain
from appliance.sync.states import LIVE, TRIED, State

Config = dict[str, Any]

BUSY = tuple(state.value for state in (*TRIED, *LIVE) if state is not State.PROBATION)
"""States of a version that is about to be the active one."""

_EVENT = (
    "{% if value_json is defined and value_json.type == 'event' %}"
    "{% set seen = value_json.get('after') or value_json.get('before') %}"
    "{{ {'event_type': value_json.event, 'label': seen.label, 'score': seen.score, 'zones': seen.get('zones', []), "
    "'seconds': value_json.seconds, 'id': value_json.id, 'reason': value_json.reason} | tojson }}{% endif %}"
)
_TOGETHER = (
    "{% if value_json is defined and value_json.type == 'together' %}"
    "{{ {'event_type': 'together', 'seen': value_json.picture.state.label, 'heard': value_json.sound.state.label, "
    "'apart_ms': value_json.apart_ms, 'id': value_json.id, 'picture_event': value_json.picture.event, "
    "'sound_event': value_json.sound.event} | tojson }}{% endif %}"
)
_MODEL = (
    "{% set found = value_json.models.get('MODEL') if value_json is defined else None %}{% if found %}"
    "{% set active = found.active or 'none' %}"
    "{% set why = found.version ~ ' was returned: ' ~ found.reason if found.state == 'returned' else found.notes %}"
    "{{ {'installed_version': active, 'latest_version': found.offered or active, 'release_summary': why, "
    "'update_percentage': found.percent, 'in_progress': found.state in " + str(BUSY) + "} | tojson }}{% endif %}"
)
"""Of models/reported, to what MQTT update takes: https://www.home-assistant.io/integrations/update.mqtt/"""
PER_LABEL = ("occupancy", "count")
"""Beginnings of the ids of components that are about one label."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A pipeline as Home Assistant is to know it."""

    name: str
    source: str
    model: str
    hears: bool
    snapshot: bool
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A device and what it runs."""

    topics: Topics
    version: str
    machine: str
    measures: frozenset[str]
    """`temperature`, `power`: what this device can tell."""
    together: tuple[str, ...] = ()
    """Names of what is seen and heard together."""
    models: tuple[str, ...] = ()
    """Of pipelines, whose versions come from a registry."""

    @property
    def id(self) -> str:
        """Of the device, in identifiers and unique ids."""
        return f"{plain(self.topics.base)}__{plain(self.topics.device)}"


def of_device(place: Place) -> Config:
    """The appliance itself."""
    at = place.topics
    status = {
        **_sensor("status", at.health, _json("value_json.status"), diagnostic=True),
        "device_class": "enum",
        "options": ["ok", "degraded", "failed"],
        "json_attributes_topic": at.health,
        "json_attributes_template": "{{ {'reasons': value_json.reasons} | tojson }}",
    }
    waiting = _sensor("waiting in the outbox", at.health, _json("value_json.uplink.stored"), diagnostic=True)
    reload = {"platform": "button", "name": "reload", "command_topic": at.request("reload"), "payload_press": "{}"}
    parts = {
        "status": status,
        "outbox": {**waiting, "state_class": "measurement", "icon": "mdi:tray-full"},
        "reload": {**reload, "entity_category": "config", "icon": "mdi:reload"},
    }
    if "temperature" in place.measures:
        parts["temperature"] = _measured(at, "temperature", _json("value_json.get('temperature_c')"), "°C")
    if "power" in place.measures:
        parts["power"] = _measured(at, "power", _json("value_json.get('power', {}).get('watts')"), "W")
    for name in place.together:
        parts[f"together-{plain(name)}"] = {
            "platform": "event",
            "name": name,
            "state_topic": at.together(name),
            "event_types": ["together"],
            "value_template": _TOGETHER,
            "qos": 1,
        }
    for model in place.models:
        parts[f"model-{plain(model)}"] = _update(at, model)
    device = {
        "identifiers": [place.id],
        "name": at.device,
        "manufacturer": "Edge inference appliance",
        "model": place.machine,
        "sw_version": place.version,
    }
    return _document(place, "device", device, [_device_there(at)], parts)


def of_source(place: Place, source: str, hears: bool) -> Config:
    """A camera or a microphone."""
    at = place.topics
    there = {
        "platform": "binary_sensor",
        "name": "connected",
        "device_class": "connectivity",
        "entity_category": "diagnostic",
        "state_topic": at.source_available(source),
        "value_template": "{{ 'ON' if value == 'online' else 'OFF' }}",
        "json_attributes_topic": at.source_available(source),
        "json_attributes_template": "{{ {'source': value} | tojson }}",
    }
    parts = {"connected": there, "enabled": _switch(at, "source", source, "enabled", "enabled")}
    return _document(place, f"source {source}", _source_device(place, source, hears), [_device_there(at)], parts)


def of_pipeline(place: Place, seen: Seen) -> Config:
    """What one pipeline sees or hears, as a part of its source's device."""
    at, name = place.topics, seen.name
    sure = [_device_there(at), _source_there(at, seen.source), _pipeline_there(at, name)]
    parts: dict[str, Config] = {}
    for label in seen.labels:
        parts[f"occupancy-{plain(label)}"] = {
            "platform": "binary_sensor",
            "name": f"{name} {label}",
            "device_class": "sound" if seen.hears else "occupancy",
            "state_topic": at.count(name, label),
            "value_template": _json("'ON' if value_json.count > 0 else 'OFF'"),
        }
        count = _sensor(f"{name} {label} count", at.count(name, label), _json("value_json.count"))
        parts[f"count-{plain(label)}"] = {**count, "state_class": "measurement", "icon": "mdi:counter"}
    parts["event"] = {
        "platform": "event",
        "name": f"{name} event",
        "state_topic": at.event(name),
        "event_types": ["new", "update", "end"],
        "value_template": _EVENT,
        "qos": 1,
    }
    if seen.hears:
        heard = "value_json.after.label if value_json.get('event') == 'new' else this.state"
        parts["heard"] = {
            **_sensor(f"{name} last heard", at.event(name), _json(heard)),
            "icon": "mdi:ear-hearing",
            "qos": 1,
        }
    elif seen.snapshot:
        image = {"platform": "image", "name": f"{name} snapshot", "image_topic": at.snapshot(name)}
        parts["snapshot"] = {**image, "content_type": "image/jpeg"}
    for part in parts.values():
        part["availability"] = sure
    parts |= _controls(at, seen) | _figures(at, name)
    device = _source_device(place, seen.source, seen.hears)
    return _document(place, f"pipeline {name}", device, [_device_there(at)], parts)


def _controls(at: Topics, seen: Seen) -> dict[str, Config]:
    """What commands allow; there while the device is, for a source that is closed must be opened again."""
    name = seen.name
    parts = {
        "enabled": _switch(at, "pipeline", name, "enabled", f"{name} enabled"),
        "threshold": {
            "platform": "number",
            "name": f"{name} threshold",
            "entity_category": "config",
            "state_topic": at.state("pipeline", name),
            "value_template": _json("value_json.get('threshold')"),
            "command_topic": at.command("pipeline", name),
            "command_template": '{"threshold": {{ value }}}',
            "min": 0,
            "max": 1,
            "step": 0.01,
            "mode": "box",
        },
    }
    if not seen.hears:
        parts["snapshots"] = _switch(at, "pipeline", name, "snapshot", f"{name} snapshots")
        parts["snapshot-now"] = {
            "platform": "button",
            "name": f"{name} snapshot now",
            "entity_category": "config",
            "command_topic": at.request("snapshot"),
            "payload_press": json.dumps({"data": {"pipeline": name}}),
        }
    return parts


def _update(at: Topics, model: str) -> Config:
    """A model that comes from a registry: which version runs, which is offered, and how far that is."""
    return {
        "platform": "update",
        "name": f"model {model}",
        "entity_category": "config",
        "state_topic": at.models_reported,
        "value_template": _MODEL.replace("MODEL", model),
        "title": f"model {model}",
        "command_topic": at.request("install"),
        "payload_install": json.dumps({"data": {"model": model}}),
        "qos": 1,
    }


def _figures(at: Topics, name: str) -> dict[str, Config]:
    figures = f"value_json.pipelines.get('{name}', {{}})"
    latency = _sensor(f"{name} latency", at.health, _json(f"{figures}.get('latency_ms')"), diagnostic=True)
    engine = _sensor(f"{name} engine", at.health, _json(f"{figures}.get('engine')"), diagnostic=True)
    return {
        "latency": {
            **latency,
            "device_class": "duration",
            "unit_of_measurement": "ms",
            "state_class": "measurement",
            "suggested_display_precision": 1,
        },
        "engine": {
            **engine,
            "icon": "mdi:chip",
            "json_attributes_topic": at.health,
            "json_attributes_template": f"{{{{ {{'reason': {figures}.get('reason')}} | tojson }}}}",
        },
    }


def _document(place: Place, thing: str, device: Config, there: list[Config], parts: dict[str, Config]) -> Config:
    """A discovery payload; `thing` makes the unique ids of its components."""
    kind, _, name = thing.partition(" ")
    unique = "__".join([place.id, kind, *([plain(name)] if name else [])])
    return {
        "device": device,
        "origin": {"name": "edge-inference-appliance", "sw_version": place.version},
        "availability": there,
        "availability_mode": "all",
        "components": {key: {**part, "unique_id": f"{unique}__{key}"} for key, part in parts.items()},
    }


def _source_device(place: Place, source: str, hears: bool) -> Config:
    return {
        "identifiers": [f"{place.id}__source__{plain(source)}"],
        "name": f"{place.topics.device} {source}",
        "manufacturer": "Edge inference appliance",
        "model": "microphone" if hears else "camera",
        "via_device": place.id,
    }


def _device_there(at: Topics) -> Config:
    return {"topic": at.available, "value_template": "{{ 'online' if value == 'online' else 'offline' }}"}


def _source_there(at: Topics, source: str) -> Config:
    return {
        "topic": at.source_available(source),
        "value_template": "{{ 'online' if value == 'online' else 'offline' }}",
    }


def _pipeline_there(at: Topics, name: str) -> Config:
    """A disabled pipeline knows nothing: its last counts stay on the broker."""
    enabled = _json("'online' if value_json.enabled else 'offline'")
    return {"topic": at.state("pipeline", name), "value_template": enabled}


def _json(expression: str) -> str:
    """Of a JSON payload; an empty one clears the topic when its thing is gone, a moment before the entity goes."""
    return f"{{{{ ({expression}) if value_json is defined else None }}}}"


def _sensor(name: str, topic: str, template: str, diagnostic: bool = False) -> Config:
    sensor = {"platform": "sensor", "name": name, "state_topic": topic, "value_template": template}
    return {**sensor, "entity_category": "diagnostic"} if diagnostic else sensor


def _measured(at: Topics, kind: str, template: str, unit: str) -> Config:
    return {
        **_sensor(kind, at.health, template, diagnostic=True),
        "device_class": kind,
        "unit_of_measurement": unit,
        "state_class": "measurement",
    }


def _switch(at: Topics, thing: str, name: str, key: str, words: str) -> Config:
    return {
        "platform": "switch",
        "name": words,
        "entity_category": "config",
        "state_topic": at.state(thing, name),
        "value_template": _json(f"'ON' if value_json.{key} else 'OFF'"),
        "command_topic": at.command(thing, name),
        "payload_on": json.dumps({key: True}),
        "payload_off": json.dumps({key: False}),
        "state_on": "ON",
        "state_off": "OFF",
    }
