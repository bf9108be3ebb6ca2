"""Whether what was heard is what the contract says: every document against the published JSON Schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from jsonschema import Draft7Validator  # type: ignore[import-untyped]  # it ships no types

from appliance import asyncapi
from appliance.contract import JPEG, JSON, TEXT


def judge(topic: str, payload: bytes) -> Iterator[str]:
    """What is wrong with this message of an appliance; an empty payload clears a topic and is always right."""
    validators = [found for address, found in published() if address.fullmatch(topic)]
    if not validators or not payload:
        return
    faults = [fault for kind in validators[0] if (fault := _fault(kind, payload)) is not None]
    if len(faults) == len(validators[0]):
        yield f"{topic}: {'; nor: '.join(faults)}: {payload[:300]!r}"


@lru_cache(maxsize=1)
def published() -> list[tuple[re.Pattern[str], list[tuple[str, Draft7Validator]]]]:
    """Topics that appliances and model services speak on, and what may stand there: content type and validator of every
    message. Those with the fewest parameters first: `model-service` is no base of an appliance."""
    document = asyncapi.document()
    spoken = [each for each in document["operations"].values() if each["action"] == "send"]
    spoken.append(document["operations"]["receiveServiceAvailable"])
    found = []
    for operation in sorted(spoken, key=lambda each: resolve(document, each["channel"])["address"].count("{")):
        channel = resolve(document, operation["channel"])
        messages = [resolve(document, resolve(document, each)) for each in operation["messages"]]
        kinds = [(message["contentType"], strict(document, message.get("payload", {}))) for message in messages]
        levels = re.split(r"\{\w+\}", channel["address"])
        found.append((re.compile("[^/]+".join(map(re.escape, levels))), kinds))
    return found


def resolve(document: dict[str, Any], reference: dict[str, Any]) -> Any:
    """What a `$ref` within the document means."""
    place: Any = document
    for step in reference["$ref"].removeprefix("#/").split("/"):
        place = place[step]
    return place


def strict(document: dict[str, Any], payload: dict[str, Any]) -> Draft7Validator:
    """For this payload; other than for subscribers, fields that the schema does not name are faults."""
    schema = {**payload, "components": {"schemas": document["components"]["schemas"]}}
    return Draft7Validator(_closed(schema))


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    told = {key: _closed(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        told.setdefault("additionalProperties", False)
    return told


def _fault(kind: tuple[str, Draft7Validator], payload: bytes) -> str | None:
    content, validator = kind
    if content == JPEG:
        return None if payload.startswith(b"\xff\xd8\xff") else "not a JPEG"
    if content not in (JSON, TEXT):
        return None
    try:
        text = payload.decode("utf-8")
        document = json.loads(text) if content == JSON else text
    except ValueError as error:
        return f"not {content}: {error}"
    worst = next(iter(sorted(validator.iter_errors(document), key=lambda error: error.path)), None)
    return None if worst is None else f"{'.'.join(map(str, worst.path))}: {worst.message}"
