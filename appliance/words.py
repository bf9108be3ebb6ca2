"""Documents in words, for a person at a terminal (rich markup)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich.markup import escape

from appliance.reading import read_out

STYLES = {"ok": "green", "degraded": "yellow", "failed": "bold red", "online": "green", "stale": "yellow"}
DIGITS = frozenset("0123456789")

_NOT_OURS = (AttributeError, KeyError, TypeError, ValueError, OverflowError)
"""What documents of others lead to."""

LONGEST = 300
"""Characters of one foreign word."""


def news(topic: str, payload: bytes) -> str | None:
    """One line about something that happened, or None when nothing did."""
    try:
        return _news(topic, payload)
    except _NOT_OURS:  # anybody can publish anything
        return f"[red]{_clean(topic)}: not a document that an appliance writes[/]"


def row(topic: str, payload: bytes) -> str | None:
    """What a pipeline sees or hears now; None for everything but results."""
    try:
        return _row(topic, payload)
    except _NOT_OURS:
        return None


def numbers_read(topic: str, payload: bytes) -> tuple[str, list[str]]:
    """The pipeline of a result whose boxes are digits, and the numbers that they make; none of anything else."""
    try:
        document = _document(topic, payload)
        numbers = _numbers(document.get("detections") or ()) if document.get("type") == "result" else []
        return _clean(document.get("pipeline")), [_clean(each) for each in numbers]
    except _NOT_OURS:
        return "", []


def _news(topic: str, payload: bytes) -> str | None:
    if topic.endswith("/available"):
        return _available(topic, payload)
    document = _document(topic, payload)
    match document.get("type"):
        case "result" if document.get("status") == "failed":
            return _result(document)
        case "event":
            return _event(document)
        case "together":
            return _together(document)
        case "gap":
            return (
                f"[bold red]{_clean(document.get('device'))}: {_clean(document.get('count'))} documents were lost: "
                f"{_clean(document.get('reason'))}[/]"
            )
        case "health":
            return _health(document)
    return None


def _row(topic: str, payload: bytes) -> str | None:
    document = _document(topic, payload)
    if document.get("type") != "result":
        return None
    latency = document.get("latency_ms") or {}
    total = f" [dim]{latency['total']:.0f} ms, {_clean(document.get('engine'))}[/]" if "total" in latency else ""
    return _result(document) + total


def _document(topic: str, payload: bytes) -> dict[str, Any]:
    """The JSON object on a topic; empty for anything else."""
    if topic.endswith("/snapshot"):
        return {}
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _clean(foreign: Any) -> str:
    """Text of others for our terminal: no markup, no control sequences, not endless."""
    text = str(foreign)
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return escape("".join(character if character.isprintable() else "\N{MIDDLE DOT}" for character in text))


def _available(topic: str, payload: bytes) -> str:
    state = payload.decode("utf-8", "replace")
    levels = topic.split("/")
    name = levels[-2]
    return f"[{STYLES.get(state, 'red')}]{_clean(name)}: {_clean(state)}[/]"


def _result(document: dict[str, Any]) -> str:
    head = f"[dim]{_clean(document.get('pipeline'))}[/] "
    if document.get("status") == "failed":
        return head + f"[bold red]failed: {_clean(document.get('reason'))}[/]"
    found = document.get("detections")
    if found is None:
        labels = document.get("labels") or []
        text = ", ".join(str(label.get("label")) for label in labels) or "nothing"
        return head + _clean(text)
    if numbers := _numbers(found):
        return head + _clean("  ".join(numbers))
    counts: dict[str, int] = {}
    for detection in found:
        label = str(detection.get("label"))
        counts[label] = counts.get(label, 0) + 1
    text = ", ".join(f"{count} {label}" for label, count in sorted(counts.items())) or "nothing"
    return head + _clean(text)


def _numbers(found: Iterable[dict[str, Any]]) -> list[str]:
    """What a person would read out; nothing unless every box is a digit."""
    digits = []
    for each in found:
        if each.get("label") not in DIGITS:
            return []
        left, top, right, bottom = (float(edge) for edge in each["box"])
        digits.append((str(each["label"]), (left, top, right, bottom)))
    return read_out(digits)


def _event(document: dict[str, Any]) -> str:
    sign = {"new": "[green]+[/]", "update": "[cyan]~[/]", "end": "[dim]-[/]"}.get(str(document.get("event")), "?")
    state = document.get("after") or document.get("before") or {}
    words = [f"{sign} [bold]{_clean(state.get('label'))}[/]", _clean(document.get("pipeline"))]
    if document.get("track") is not None:
        words.append(f"#{_clean(document['track'])}")
    if state.get("zones"):
        words.append(f"in {_clean(', '.join(map(str, state['zones'])))}")
    words.append(f"[dim]{_clean(document.get('reason'))}[/]")
    return " ".join(words)


def _together(document: dict[str, Any]) -> str:
    seen, heard = (document[part]["state"]["label"] for part in ("picture", "sound"))
    return f"[green]&[/] [bold]{_clean(seen)}[/] and [bold]{_clean(heard)}[/] {_clean(document.get('name'))}"


def _health(document: dict[str, Any]) -> str:
    status = str(document.get("status"))
    reasons = "; ".join(map(str, document.get("reasons") or ())) or "all sources and models at work"
    return f"[{STYLES.get(status, 'red')}]health {_clean(status)}[/]: {_clean(reasons)}"
