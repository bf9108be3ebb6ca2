"""A real appliance that shares the stages of a model with a real service, which is killed and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.served_models import halved, serving
from tests.sluggish import SluggishAppliance
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.system]

RESULT = "pipeline/shapes/result"


def configuration(broker: Broker, model: Path, place: str) -> str:
    return f"""
[mqtt]
broker = "{broker.url}"
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 10
[[pipeline]]
name = "shapes"
source = "dock"
model = "{model}"
every = true
[pipeline.remote]
offload = "features"
deadline_s = 1
place = {place}
"""


def sides(results: list[Any]) -> set[str]:
    return {each["answered_by"] if each["status"] == "ok" else each["status"] for each in results}


def await_side(ear: Ear, side: str) -> None:
    """Until a result that comes from now on says so."""
    count = len(ear.documents(RESULT))
    until(lambda: side in sides(ear.documents(RESULT)[count:]), 60, f"{side} among the results")


def await_more(ear: Ear, more: int) -> None:
    count = len(ear.documents(RESULT))
    until(lambda: len(ear.documents(RESULT)) >= count + more, 30, f"{more} results")


def test_a_stage_that_is_fixed_at_a_service_fails_without_it_and_answers_with_it(
    broker: Broker, tmp_path: Path
) -> None:
    bundle = halved("shapes", "averagepool14", tmp_path)
    config = configuration(broker, bundle.folder, '{ main-2 = "remote" }')
    with Ear(broker.port) as ear, ApplianceProcess(tmp_path, config):
        failed = ear.await_document(RESULT, within_s=30, status="failed")
        assert "no model service is there" in failed["reason"]
        assert "detections" not in failed
        with serving(broker.url, tmp_path, bundle):
            answered = ear.await_document(RESULT, within_s=60, status="ok")
            assert answered["answered_by"] == "remote:attic"
        await_side(ear, "failed")
        with serving(broker.url, tmp_path, bundle):
            await_side(ear, "remote:attic")


def test_a_stage_that_is_placed_by_measurement_never_fails_for_the_service(broker: Broker, tmp_path: Path) -> None:
    bundle = halved("shapes", "averagepool14", tmp_path)
    config = configuration(broker, bundle.folder, '"auto"')
    with Ear(broker.port) as ear, SluggishAppliance(tmp_path, config) as appliance:
        ear.await_document(RESULT, within_s=30, status="ok")
        appliance.slow("30")  # milliseconds more for each stage here
        for _ in range(2):
            with serving(broker.url, tmp_path, bundle):
                await_side(ear, "remote:attic")
            await_more(ear, 20)
        results = ear.documents(RESULT)
    assert sides(results) == {"local", "remote:attic"}
    numbers = [each["seq"] for each in results]
    assert numbers == sorted(set(numbers))
