"""More services answer more, and a crowd is served fairly: the bench of services, small."""

from __future__ import annotations

import pytest

from appliance.mqtt.broker import LocalBroker
from scripts.benchmarks.services import throughput


@pytest.mark.broker
@pytest.mark.faults
def test_three_services_answer_nearly_three_times_as_much_and_leave_nobody_out() -> None:
    with LocalBroker() as broker:
        one = throughput(broker.url, 1, devices=60, ms=100, seconds=3.0, alone=None)
        three = throughput(broker.url, 3, devices=60, ms=100, seconds=6.0, alone=one.per_s)
    assert three.times >= 2.5
    assert three.starved == 0
    assert three.fairness > 0.9
    assert min(three.by_service.values()) > 0.8 * max(three.by_service.values())
