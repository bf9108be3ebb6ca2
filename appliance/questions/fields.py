"""The fields of a message's JSON, each read as what it has to be; every function raises BadTensor with its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from appliance.questions.tensors import BadTensor

LONGEST_TEXT = 128
MOST_LABELS = 1000
MOST_NUMBER = 1e300


def fault_in(error: ValidationError | RecursionError) -> str:
    """The first fault in words: whoever sends thousands gets one back."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(step)[:LONGEST_TEXT] for step in fault["loc"])
    return f"{where}: {fault['msg']}" if where else str(fault["msg"])


def table(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise BadTensor(f"{key} must be a JSON object")
    return value


def text(parameters: Mapping[str, Any], key: str) -> str | None:
    value = parameters.get(key)
    if value is not None and (not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT):
        raise BadTensor(f"{key} must be a text of at most {LONGEST_TEXT} characters")
    return value


def word(parameters: Mapping[str, Any], key: str) -> str:
    value = text(parameters, key)
    if value is None:
        raise BadTensor(f"{key} is missing")
    return value


def flag(parameters: Mapping[str, Any], key: str) -> bool:
    value = parameters.get(key, True)
    if not isinstance(value, bool):
        raise BadTensor(f"{key} must be true or false")
    return value


def share(parameters: Mapping[str, Any], key: str) -> float | None:
    """A share of 1, or None where nothing is said."""
    if parameters.get(key) is None:
        return None
    value = number(parameters, key)
    if not 0 <= value <= 1:
        raise BadTensor(f"{key} must be a number from 0 to 1")
    return value


def duration(parameters: Mapping[str, Any], key: str) -> float:
    value = number(parameters, key)
    if value < 0:
        raise BadTensor(f"{key} must be a number of milliseconds")
    return value


def number(parameters: Mapping[str, Any], key: str) -> float:
    """Finite, and neither a text nor a boolean."""
    value = parameters.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MOST_NUMBER:
        raise BadTensor(f"{key} must be a number")
    return float(value)


def labels(given: object) -> tuple[str, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list) or len(given) > MOST_LABELS:
        raise BadTensor(f"labels must be a list of at most {MOST_LABELS} texts")
    if any(not isinstance(label, str) or not 0 < len(label) <= 200 for label in given):
        raise BadTensor("labels must be texts of at most 200 characters")
    return tuple(given)
