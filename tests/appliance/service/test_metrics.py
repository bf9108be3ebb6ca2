"""What Prometheus reads of a room at work."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance.catalogue import Catalogue
from appliance.oip.attention import AttentionFigures
from appliance.questions.question import Question, Refused
from appliance.service.backend import Local
from appliance.service.door import DoorFigures
from appliance.service.intake import IntakeFigures
from appliance.service.metrics import CONTENT_TYPE, exposition
from appliance.service.room import Room
from engines.model import Model
from tests.waiting import until


def _question(model: str, left_s: float) -> Question:
    picture = np.zeros((360, 640, 3), np.uint8)
    return Question(
        id=f"{model}-{left_s}",
        device="dock-1",
        model=model,
        version=None,
        first=None,
        last=None,
        picture=picture,
        sound=None,
        tensors={},
        decode=True,
        threshold=None,
        labels=None,
        deadline_ns=time.monotonic_ns() + int(left_s * 1e9),
    )


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    """A model that has answered three questions and refused one; and one that cannot be opened."""
    catalogue = Catalogue.default(None)

    def local(name: str) -> Callable[[], Local]:
        return lambda: Local(lambda: catalogue.find(name), Model, None)

    with Room({name: local(name) for name in ("shapes", "absent")}) as room:
        until(lambda: room.settled, 30)
        for _ in range(3):
            room.ask(_question("shapes", 30.0)).result(30)
        with pytest.raises(Refused):
            room.ask(_question("shapes", -1.0)).result(30)
        yield room


def _samples(body: bytes) -> dict[tuple[str, str], float]:
    """Value by name and by all labels but the engine."""
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        assert family.documentation, family.name
        assert family.type != "unknown", family.name
        for sample in family.samples:
            words = ",".join(value for key, value in sorted(sample.labels.items()) if key != "engine")
            found[sample.name, words] = sample.value
    return found


def test_what_a_room_did_is_counted_by_model(room: Room) -> None:
    said = _samples(exposition(room))
    assert said["appliance_service_questions_total", "shapes"] == 4
    assert said["appliance_service_questions_refused_total", "shapes,expired"] == 1
    assert said["appliance_service_answer_seconds_count", "shapes"] == 3
    assert said["appliance_service_inferences_total", "shapes"] == 3
    assert said["appliance_service_run_seconds_count", "shapes"] == 3
    assert said["appliance_service_model_ready", "shapes"] == 1
    assert said["appliance_service_model_ready", "absent"] == 0
    answer, queue, run = (
        said[f"appliance_service_{name}_seconds_sum", "shapes"] for name in ("answer", "queue_wait", "run")
    )
    assert answer >= run > 0
    assert answer >= queue > 0
    assert 0 < said["appliance_service_question_seconds_recent", "shapes"] < 30


def test_a_service_without_a_broker_says_nothing_of_one(room: Room) -> None:
    assert not any("broker" in name for name, _ in _samples(exposition(room)))
    said = _samples(exposition(room, IntakeFigures(connected=True, connects=2, answered=7, late=1)))
    assert said["appliance_service_broker_connected", ""] == 1
    assert said["appliance_service_broker_connects_total", ""] == 2
    assert said["appliance_service_answers_sent_total", ""] == 7
    assert said["appliance_service_answers_late_total", ""] == 1


def test_who_was_turned_away_is_counted_by_reason_and_by_nobodys_name(room: Room) -> None:
    door = DoorFigures(received=900, foreign=5, untold=700)
    attention = {"rest": AttentionFigures(callers=2, under_way=40, turned_away=8, slowed=3), "grpc": AttentionFigures()}
    said = _samples(exposition(room, None, door, attention))
    assert said["appliance_service_messages_total", ""] == 900
    assert said["appliance_service_messages_unanswered_total", "foreign"] == 5
    assert said["appliance_service_messages_unanswered_total", "refused_too_often"] == 700
    assert said["appliance_service_oip_callers", "rest"] == 2
    assert said["appliance_service_oip_under_way", "rest"] == 40
    assert said["appliance_service_oip_turned_away_total", "rest"] == 8
    assert said["appliance_service_oip_refusals_slowed_total", "rest"] == 3
    assert said["appliance_service_oip_turned_away_total", "grpc"] == 0


def test_prometheus_own_linter_has_nothing_to_say(room: Room) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    body = exposition(room, IntakeFigures(), DoorFigures(), {"rest": AttentionFigures()})
    done = subprocess.run(["promtool", "check", "metrics"], input=body, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    assert CONTENT_TYPE.startswith("text/plain")
