from __future__ import annotations

import json
from typing import Any

import pytest
from rich.text import Text

from appliance.words import news, numbers_read, row


def said(line: str | None) -> str | None:
    """What a person reads, without colours."""
    return None if line is None else Text.from_markup(line).plain


def on(topic: str, **document: Any) -> tuple[str, bytes]:
    return f"appliance/dock-1/{topic}", json.dumps(document).encode()


def test_what_a_pipeline_sees_is_a_row_with_its_latency() -> None:
    found = [{"label": "person"}, {"label": "person"}, {"label": "car"}]
    message = on(
        "pipeline/p/result",
        type="result",
        pipeline="p",
        status="ok",
        detections=found,
        engine="onnxruntime",
        latency_ms={"total": 12.3},
    )
    assert said(row(*message)) == "p 1 car, 2 person 12 ms, onnxruntime"
    assert news(*message) is None


def digit(label: str, left: float) -> dict[str, Any]:
    return {"label": label, "box": [left, 10, left + 9, 30]}


def test_digits_are_read_out_as_numbers() -> None:
    found = [digit("0", 20), digit("8", 8), digit("5", 200)]
    message = on("pipeline/p/result", type="result", pipeline="p", status="ok", detections=found)
    assert said(row(*message)) == "p 80  5"
    assert numbers_read(*message) == ("p", ["80", "5"])


def test_digits_among_other_things_are_counted_like_them() -> None:
    found = [digit("7", 20), digit("car", 8)]
    message = on("pipeline/p/result", type="result", pipeline="p", status="ok", detections=found)
    assert said(row(*message)) == "p 1 7, 1 car"
    assert numbers_read(*message) == ("p", [])


def test_a_failure_is_news() -> None:
    message = on("pipeline/p/result", type="result", pipeline="p", status="failed", reason="the output holds NaN")
    assert said(news(*message)) == "p failed: the output holds NaN"


def test_an_event_is_news() -> None:
    after = {"label": "person", "zones": ["gate"]}
    message = on("pipeline/p/event", type="event", event="new", pipeline="p", track=3, reason="seen", after=after)
    assert said(news(*message)) == "+ person p #3 in gate seen"


def test_a_loss_is_news() -> None:
    message = on("pipeline/p/event", type="gap", device="dock-1", count=12, reason="the disk is full")
    assert said(news(*message)) == "dock-1: 12 documents were lost: the disk is full"


def test_markup_in_a_label_is_only_text() -> None:
    message = on("pipeline/p/event", type="event", event="new", pipeline="p", after={"label": "[red]x[/red]"})
    assert "[red]x[/red]" in str(said(news(*message)))


def test_what_is_no_document_is_no_news() -> None:
    assert news("appliance/dock-1/pipeline/p/snapshot", b"\xff\xd8") is None
    assert news("appliance/dock-1/info", b"[1, 2]") is None
    assert said(news("appliance/dock-1/available", b"offline")) == "dock-1: offline"


GARBAGE = {
    "a latency in words": b'{"type": "result", "status": "ok", "latency_ms": {"total": "soon"}, "detections": []}',
    "a latency that is a list": b'{"type": "result", "latency_ms": [1], "detections": []}',
    "detections that are a number": b'{"type": "result", "detections": 5}',
    "a digit without a place": b'{"type": "result", "detections": [{"label": "7"}]}',
    "a digit in half a place": b'{"type": "result", "detections": [{"label": "7", "box": [1, 2]}]}',
    "a digit nowhere": b'{"type": "result", "detections": [{"label": "7", "box": [null, "a", 1, 1]}]}',
    "a label that is a list": b'{"type": "result", "detections": [{"label": [7]}]}',
    "a state that is a list": b'{"type": "event", "event": "new", "after": [1]}',
    "zones that are a number": b'{"type": "event", "event": "new", "after": {"zones": 1}}',
    "reasons that are a number": b'{"type": "health", "reasons": 7}',
    "a list": b"[1]",
    "lists without end": b"[" * 100_000,
    "bytes": bytes(range(256)),
    "nothing": b"",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_what_is_no_document_of_ours_does_not_end_the_watching(name: str) -> None:
    for topic in ("appliance/d/pipeline/p/result", "appliance/d/available", "/available"):
        news(topic, GARBAGE[name])
        row(topic, GARBAGE[name])
        assert numbers_read(topic, GARBAGE[name])[1] == []


def test_foreign_text_cannot_steer_the_terminal() -> None:
    said = news("appliance/d/pipeline/p/event", b'{"type":"event","event":"new","after":{"label":"\\u001b[2J[red]x"}}')
    assert said is not None
    assert "\x1b" not in said
    assert "\\[red]x" in said


def test_a_long_word_is_cut() -> None:
    said = news("appliance/d/health", b'{"type":"health","status":"ok","reasons":["' + b"x" * 5000 + b'"]}')
    assert said is not None
    assert len(said) < 500
