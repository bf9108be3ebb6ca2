"""The contract as an AsyncAPI 3 document, https://www.asyncapi.com/docs/reference/specification/v3.0.0."""

from __future__ import annotations

import re
from typing import Any

from pydantic import TypeAdapter

from appliance.contract import JSON, Channel, Message, channels
from appliance.result import SCHEMA

VERSION = "3.0.0"
MQTT_BINDING = "0.2.0"
"""Of the operation binding, https://github.com/asyncapi/bindings/tree/master/mqtt."""

PARAMETERS = {
    "base": "First level of every topic, `appliance` unless configured",
    "device": "Name of the device",
    "source": "Name of a camera or a microphone",
    "pipeline": "Name of a pipeline",
    "together": "Name of a pair of pipelines",
    "label": "A word of the model; what a topic may not hold is `-`",
    "request": "`status`, `snapshot` or `reload`; of a refused command `set`",
    "stream": "Name of a pipeline, or of a pair; of a pipeline's spooled results with `-results` behind it",
    "model": "Name of a model at the services",
    "service": "Name of a model service",
}

Schema = dict[str, Any]


def document(base: str = "{base}", device: str = "{device}") -> Schema:
    """What is published where; without names for every appliance, with them for one."""
    contract = channels(base, device)
    payloads, schemas = _schemas(contract)
    messages = {message.name: message for channel in contract for message in channel.messages}
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Edge inference appliance",
            "version": str(SCHEMA),
            "description": "What an appliance sees and hears, how it is, and what can be asked of it. JSON is UTF-8. "
            "An empty retained payload: there is no such thing any more. Fields may be added within a version: "
            "ignore those you do not know.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "channels": {channel.name: _channel(channel) for channel in contract},
        "operations": {f"{channel.says}{_capital(channel.name)}": _operation(channel) for channel in contract},
        "components": {
            "messages": {name: _message(message, payloads) for name, message in messages.items()},
            "schemas": schemas,
        },
    }


def _schemas(contract: tuple[Channel, ...]) -> tuple[dict[str, Schema], dict[str, Schema]]:
    """The payload of every message that has a type, and the schemas that these refer to."""
    wanted = {
        message.name: ("serialization" if channel.says == "send" else "validation", TypeAdapter(message.kind))
        for channel in contract
        for message in channel.messages
        if message.kind is not None
    }
    found, rest = TypeAdapter.json_schemas(
        [(name, mode, adapter) for name, (mode, adapter) in wanted.items()],  # type: ignore[misc]  # a literal, in a dict
        ref_template="#/components/schemas/{model}",
    )
    payloads = {name: _draft_07(schema) for (name, _), schema in found.items()}
    return payloads, {name: _draft_07(schema) for name, schema in rest["$defs"].items()}


def _draft_07(schema: Any) -> Any:
    """Pydantic writes JSON Schema 2020-12; AsyncAPI's own schemas are a superset of draft 07."""
    if isinstance(schema, list):
        return [_draft_07(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    told = {key: _draft_07(value) for key, value in schema.items()}
    if "prefixItems" in told:
        told["items"] = told.pop("prefixItems")
        told["additionalItems"] = False
    return told


def _message(message: Message, payloads: dict[str, Schema]) -> Schema:
    told: Schema = {"name": message.name, "summary": message.words, "contentType": message.content}
    if message.name in payloads:
        told["payload"] = payloads[message.name]
    elif message.content == JSON:
        told["payload"] = {"type": "object"}
    return told


def _channel(channel: Channel) -> Schema:
    told: Schema = {
        "address": channel.topic,
        "messages": {message.name: {"$ref": f"#/components/messages/{message.name}"} for message in channel.messages},
    }
    names = re.findall(r"\{(\w+)\}", channel.topic)
    if names:
        told["parameters"] = {name: {"description": PARAMETERS[name]} for name in names}
    if channel.words:
        told["description"] = channel.words
    return told


def _operation(channel: Channel) -> Schema:
    return {
        "action": channel.says,
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "messages": [{"$ref": f"#/channels/{channel.name}/messages/{message.name}"} for message in channel.messages],
        "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retain, "bindingVersion": MQTT_BINDING}},
    }


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]
