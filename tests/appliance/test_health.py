"""What health says, judged from figures alone."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from appliance.health import Health, PipelineFigures, judge
from appliance.pipeline.feed import NOT_OPENED, FeedFigures
from appliance.pipeline.worker import LOADING
from appliance.remote.figures import RoutedFigures
from appliance.result import Event, Gap, Result


def source(status: Any = "online", reason: str = "delivering") -> FeedFigures:
    return FeedFigures(status, reason, description="", samples=1, reopened=0, abandoned=0)


def pipeline(engine: str = "onnxruntime", enabled: bool = True, reason: str = "", **more: Any) -> PipelineFigures:
    return PipelineFigures(enabled, engine, reason, results=1, failed=0, dropped=0, **more)


CONNECTED: dict[str, Any] = {"connected": True, "alarms": ()}


def test_nothing_wrong_is_ok() -> None:
    assert judge({"dock": source()}, {"p": pipeline()}, CONNECTED) == ("ok", ())


def test_what_is_switched_off_is_nothing_wrong() -> None:
    assert judge({"dock": source("disabled")}, {"p": pipeline("none", enabled=False)}, CONNECTED) == ("ok", ())


def test_a_source_that_is_away_degrades() -> None:
    assert judge({"dock": source("offline", "no such camera")}, {"p": pipeline()}, CONNECTED) == (
        "degraded",
        ("dock: no such camera",),
    )


def test_a_source_that_was_not_tried_yet_is_nothing_to_complain_of_at_the_start() -> None:
    waiting = {"dock": source("offline", NOT_OPENED)}
    assert judge(waiting, {"p": pipeline()}, CONNECTED, starting=True) == ("ok", ())
    assert judge(waiting, {"p": pipeline()}, CONNECTED, starting=False)[0] == "degraded"


def test_no_pipeline_that_answers_is_a_failure() -> None:
    assert judge({}, {"p": pipeline("none", reason="no such model")}, CONNECTED) == ("failed", ("p: no such model",))


def test_a_model_that_is_being_loaded_has_not_failed() -> None:
    assert judge({}, {"p": pipeline("none", reason=LOADING)}, CONNECTED) == ("degraded", (f"p: {LOADING}",))


def test_one_pipeline_that_answers_is_not() -> None:
    status, reasons = judge({}, {"p": pipeline("none", reason="no such model"), "q": pipeline()}, CONNECTED)
    assert (status, reasons) == ("degraded", ("p: no such model",))


def test_what_a_pipeline_asks_for_and_cannot_get_is_a_reason() -> None:
    status, reasons = judge({}, {"p": pipeline(complaints=("labels: …",))}, CONNECTED)
    assert (status, reasons) == ("degraded", ("p: labels: …",))


def test_a_broker_that_is_away_is_a_reason() -> None:
    assert judge({}, {"p": pipeline()}, {"connected": False, "broker": "nobody listens there"}) == (
        "degraded",
        ("broker: nobody listens there",),
    )


def test_a_connection_on_its_way_is_nothing_to_complain_of() -> None:
    away = {"connected": False, "connects": 0, "broker": "not connected yet"}
    assert judge({}, {"p": pipeline()}, away, starting=True) == ("ok", ())
    assert judge({}, {"p": pipeline()}, away, starting=False)[0] == "degraded"
    assert judge({}, {"p": pipeline()}, away | {"connects": 1}, starting=True)[0] == "degraded"


def test_topics_that_the_broker_forbids_are_reasons_and_many_are_summed_up() -> None:
    alarms = tuple(f"topic {number}: the broker does not allow it" for number in range(9))
    status, reasons = judge({}, {"p": pipeline()}, {"connected": True, "alarms": alarms})
    assert status == "degraded"
    assert reasons[0] == "topic 0: the broker does not allow it"
    assert reasons[-1] == "uplink: 6 more such complaints; see uplink.alarms"


def test_an_outbox_that_cannot_be_used_is_told_while_the_first_connection_is_on_its_way() -> None:
    away = {"connected": False, "connects": 0, "alarms": ("/state/outbox.db: the file system is read-only",)}
    assert judge({}, {"p": pipeline()}, away, starting=True) == (
        "degraded",
        ("/state/outbox.db: the file system is read-only",),
    )


def test_a_full_disk_is_a_reason_though_nothing_was_lost_yet() -> None:
    status, reasons = judge({}, {"p": pipeline()}, CONNECTED | {"disk_full": True})
    assert status == "degraded"
    assert "the disk is full: make room" in reasons[0]


@pytest.mark.parametrize("kind", [Result, Event, Gap, Health])
def test_what_may_be_absent_is_not_required_by_the_schema(kind: type) -> None:
    """Absent values are left out of the JSON: a schema that requires them would refuse our own documents."""
    schema = TypeAdapter(kind).json_schema(mode="serialization")
    for table in (schema, *schema.get("$defs", {}).values()):
        for name in table.get("required", ()):
            choices = table["properties"][name].get("anyOf", [])
            assert {"type": "null"} not in choices, f"{table['title']}.{name}"


def test_a_pipeline_without_an_engine_that_the_service_answers_for_degrades() -> None:
    routed = RoutedFigures(side="remote", reasons=("the service answers: no such model",))
    status, reasons = judge({}, {"p": pipeline("none", reason="no such model", remote=routed)}, CONNECTED)
    assert (status, reasons) == ("degraded", ("p: the service answers: no such model",))


def test_a_pipeline_that_neither_side_answers_for_fails() -> None:
    routed = RoutedFigures(reasons=("nobody to fall back on: no model service is there",))
    status, reasons = judge({}, {"p": pipeline("none", reason="no such model", remote=routed)}, CONNECTED)
    assert status == "failed"
    assert reasons == ("p: no such model", "p: nobody to fall back on: no model service is there")


def test_a_service_that_is_not_found_yet_is_nothing_to_complain_of_at_the_start() -> None:
    waiting = {"p": pipeline(remote=RoutedFigures(reasons=("nobody to fall back on: not connected yet",)))}
    assert judge({}, waiting, CONNECTED, starting=True) == ("ok", ())
    assert judge({}, waiting, CONNECTED)[0] == "degraded"
