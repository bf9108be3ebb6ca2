"""Traces of a real device and a real service, as a collector receives them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config import parse
from appliance.config_errors import ConfigError
from appliance.result import ModelId, Result, utc
from appliance.traces.collector import EVERY_S, MOST_WAITING, Collector
from appliance.traces.device import DeviceTraces
from appliance.traces.settings import Traces
from appliance.traces.spans import identity, of_publishing, of_result
from tests.appliance.page.conftest import result
from tests.appliance.traces.receiver import Received, Receiver, receiving
from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker, free_port
from tests.service_process import ServiceProcess
from tests.waiting import until

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otel is not installed")

SECOND_NS = 1_000_000_000


def configuration(broker: Broker, endpoint: str) -> str:
    return f"""
[mqtt]
broker = "{broker.url}"
[traces]
endpoint = "{endpoint}"
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 10
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
[[camera]]
name = "yard"
uri = "scene:shapes"
fps = 5
[[pipeline]]
name = "asked"
source = "yard"
model = "shapes"
[pipeline.remote]
offload = "frames"
prefer = "remote"
deadline_s = 2.0
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.mark.broker
@pytest.mark.system
def test_a_sample_is_followed_from_the_camera_to_the_service_and_to_the_connection(
    broker: Broker, tmp_path: Path, receiver: Receiver
) -> None:
    service = f'[[model]]\nname = "shapes"\n[traces]\nendpoint = "{receiver.endpoint}"\n'
    with (
        ServiceProcess(tmp_path, broker.url, "s1", module="appliance", config=service),
        Ear(broker.port) as ear,
        ApplianceProcess(tmp_path, configuration(broker, receiver.endpoint)),
    ):
        until(lambda: receiver.named("answer shapes") and len(receiver.named("publish")) > 10, 40, what="traces")
        answer = until(lambda: _with_its_result(receiver), 20, what="a result of the service's answer")
        local = receiver.named("result shapes")[0]
        stages = {each.name: each.span for each in receiver.received if each.trace == local.trace}
    published = {each["id"]: each for each in ear.documents("pipeline/shapes/result")}
    said = published[local.attributes["appliance.result"]]
    assert local.attributes["appliance.status"] == "ok"
    for name in ("capture", "wait", "prepare", "infer", "decode"):
        span = stages[name]
        assert span.parent_span_id == local.span.span_id
        assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6 == pytest.approx(said["latency_ms"][name])
    assert stages["capture"].start_time_unix_nano == local.span.start_time_unix_nano
    assert stages["decode"].end_time_unix_nano <= local.span.end_time_unix_nano + 1_000_000
    assert stages["publish"].start_time_unix_nano == local.span.end_time_unix_nano
    assert answer is not None
    assert {each.service for each in (local, answer)} == {"appliance", "model-service"}
    assert (local.instance, answer.instance) == ("box", "s1")


def _with_its_result(receiver: Receiver) -> Received | None:
    """A span of the service that lies under the device's, of the same trace."""
    results = {each.trace: each for each in receiver.named("result asked")}
    for answer in receiver.named("answer shapes"):
        whole = results.get(answer.trace)
        if whole is not None and answer.span.parent_span_id == whole.span.span_id:
            assert whole.attributes["appliance.answered_by"] == "remote:s1"
            children = [each.name for each in receiver.received if each.span.parent_span_id == answer.span.span_id]
            assert sorted(children) == ["infer", "wait"]
            return answer
    return None


def collected(settings: Traces) -> tuple[Collector, threading.Event, threading.Thread]:
    """One at work."""
    collector, stopping = Collector(settings, "appliance", "box"), threading.Event()
    thread = threading.Thread(target=collector.run, args=(stopping,), daemon=True)
    thread.start()
    return collector, stopping, thread


@pytest.mark.system
def test_a_collector_that_is_away_holds_up_nobody_and_is_complained_of_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr("appliance.traces.collector.EVERY_S", 0.05)
    monkeypatch.setattr("appliance.traces.collector.TIMEOUT_S", 0.3)
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}/v1/traces"
    collector, stopping, thread = collected(Traces(endpoint=endpoint))
    traces = DeviceTraces(collector, "box")
    for seq in range(MOST_WAITING + 500):
        traces.shown(result(seq), None)
    until(lambda: collector.lost > 0, 20)
    lost = collector.lost
    traces.shown(result(1), None)
    until(lambda: collector.lost > lost, 20)
    with receiving(port) as receiver:
        until(lambda: _put(traces) and receiver.named("result shapes"), 20)
        stopping.set()
        thread.join(10)
    assert not thread.is_alive()
    ours = [record.getMessage() for record in caplog.records if "traces" in record.getMessage()]
    assert len(ours) == 2, ours
    assert endpoint in ours[0]
    assert "takes them again" in ours[1]
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


def _put(traces: DeviceTraces) -> bool:
    traces.shown(result(2), None)
    return True


def test_what_waits_is_bounded_and_what_gave_way_is_counted() -> None:
    collector = Collector(Traces(endpoint="http://127.0.0.1:9/v1/traces"), "appliance", "box")
    traces = DeviceTraces(collector, "box")
    for seq in range(MOST_WAITING + 7):
        traces.shown(result(seq), None)
    assert collector.dropped == 7


def test_the_token_travels_and_what_waits_at_the_end_is_delivered(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a long secret\n")
    collector, stopping, thread = collected(Traces(endpoint=receiver.endpoint, token_file=tmp_path / "token"))
    DeviceTraces(collector, "box").shown(result(1), None)
    stopping.set()
    thread.join(EVERY_S + 10)
    assert not thread.is_alive()
    assert len(receiver.named("result shapes")) == 1
    assert receiver.headers["authorization"] == "Bearer a long secret"
    assert collector.delivered == len(receiver.received) == 6


def test_samples_outside_the_share_cost_no_place() -> None:
    collector = Collector(Traces(endpoint="http://127.0.0.1:9/v1/traces", share=0.0), "appliance", "box")
    traces = DeviceTraces(collector, "box")
    for seq in range(MOST_WAITING + 7):
        traces.shown(result(seq), None)
        traces.sent(result(seq))
    assert collector.dropped == 0


def test_without_its_packages_the_next_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(ConfigError, match=r"edge-inference-appliance\[otel\]"):
        Collector(Traces(endpoint="http://127.0.0.1:9/v1/traces"), "appliance", "box")


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "http://user:secret@host/v1/traces", "http://host", ""])
def test_an_address_that_is_none_or_holds_a_password_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="endpoint"):
        parse(f'[traces]\nendpoint = "{endpoint}"', "x.toml")


def failed() -> Result:
    return replace(result(3), status="failed", reason="no engine", latency_ms=None, model=ModelId("shapes", "1", ""))


def test_a_sample_without_an_answer_is_an_error_with_its_reason() -> None:
    at_ns = 1_795_239_199_123_456_000
    of = replace(failed(), captured_at=utc(at_ns))
    (span,) = of_result(of, at_ns + SECOND_NS)
    assert span.failed == "no engine"
    assert (span.start_ns, span.end_ns) == (at_ns, at_ns + SECOND_NS)
    assert of_publishing(of, at_ns) is None
    assert span.trace == identity(of).trace


def test_a_late_answer_makes_no_second_trace() -> None:
    collector = Collector(Traces(endpoint="http://127.0.0.1:9/v1/traces"), "appliance", "box")
    for _ in range(MOST_WAITING + 1):
        DeviceTraces(collector, "box").shown(replace(result(1), late=True), None)
    assert collector.dropped == 0
