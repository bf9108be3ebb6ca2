"""Documents in words, for a person at a terminal (rich markup)."""

from __future__ import annotations

import json
from typing import Any

from rich.markup import escape

STYLES = {"ok": "green", "degraded": "yellow", "failed": "bold red", "online": "green", "stale": "yellow"}


def news(topic: str, payload: bytes) -> str | None:
    """One line about something that happened, or None when nothing did."""
    if topic.endswith("/available"):
        return _available(topic, payload)
    document = _document(topic, payload)
    match document.get("type"):
        case "result" if document.get("status") == "failed":
            return _result(document)
        case "event":
            return _event(document)
        case "gap":
            return (
                f"[bold red]{escape(str(document.get('device')))}: {document.get('count')} documents were lost: "
                f"{escape(str(document.get('reason')))}[/]"
            )
        case "health":
            return _health(document)
    return None


def row(topic: str, payload: bytes) -> str | None:
    """What a pipeline sees or hears now; None for everything but results."""
    document = _document(topic, payload)
    if document.get("type") != "result":
        return None
    latency = document.get("latency_ms") or {}
    total = f" [dim]{latency['total']:.0f} ms, {escape(str(document.get('engine')))}[/]" if "total" in latency else ""
    return _result(document) + total


def _document(topic: str, payload: bytes) -> dict[str, Any]:
    """The JSON object on a topic; empty for anything else."""
    if topic.endswith("/snapshot"):
        return {}
    try:
        document = json.loads(payload)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _available(topic: str, payload: bytes) -> str:
    state = payload.decode("utf-8", "replace")
    levels = topic.split("/")
    name = levels[-2]
    return f"[{STYLES.get(state, 'red')}]{escape(name)}: {escape(state)}[/]"


def _result(document: dict[str, Any]) -> str:
    head = f"[dim]{escape(str(document.get('pipeline')))}[/] "
    if document.get("status") == "failed":
        return head + f"[bold red]failed: {escape(str(document.get('reason')))}[/]"
    found = document.get("detections")
    if found is None:
        labels = document.get("labels") or []
        text = ", ".join(str(label.get("label")) for label in labels) or "nothing"
        return head + escape(text)
    counts: dict[str, int] = {}
    for detection in found:
        label = str(detection.get("label"))
        counts[label] = counts.get(label, 0) + 1
    text = ", ".join(f"{count} {label}" for label, count in sorted(counts.items())) or "nothing"
    return head + escape(text)


def _event(document: dict[str, Any]) -> str:
    sign = {"new": "[green]+[/]", "update": "[cyan]~[/]", "end": "[dim]-[/]"}.get(str(document.get("event")), "?")
    state = document.get("after") or document.get("before") or {}
    words = [f"{sign} [bold]{escape(str(state.get('label')))}[/]", escape(str(document.get("pipeline")))]
    if document.get("track") is not None:
        words.append(f"#{document['track']}")
    if state.get("zones"):
        words.append(f"in {escape(', '.join(map(str, state['zones'])))}")
    words.append(f"[dim]{escape(str(document.get('reason')))}[/]")
    return " ".join(words)


def _health(document: dict[str, Any]) -> str:
    status = str(document.get("status"))
    reasons = "; ".join(map(str, document.get("reasons") or ())) or "all sources and models at work"
    return f"[{STYLES.get(status, 'red')}]health {status}[/]: {escape(reasons)}"
