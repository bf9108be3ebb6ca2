"""What Prometheus reads of a device at work, over HTTP from a real daemon."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance.pipeline.tally import STAGES
from tests.appliance_process import ApplianceProcess
from tests.conftest import Broker, free_port
from tests.tones import write_tones
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]

HOSTILE = 'people"}\\n# TYPE x counter\\nx{a="\\\\'
"""As a TOML string: a model's name may be any text, for it may be a file."""


def configuration(broker: Broker, folder: Path, port: int) -> str:
    return f"""
[mqtt]
broker = "{broker.url}"
[metrics]
listen = "127.0.0.1:{port}"
[[camera]]
name = "dock"
uri = "scene:shapes"
[[camera]]
name = "yard"
uri = "rtsp://127.0.0.1:9/none"
[[microphone]]
name = "ear"
uri = "wav:{write_tones(folder)}"
loop = true
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
[[pipeline]]
name = "tones"
source = "ear"
model = "tones"
[[pipeline]]
name = "hostile"
source = "dock"
model = {_toml(HOSTILE)}
"""


def _toml(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'


def ask(port: int, **headers: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        body: bytes = answer.read()
        assert answer.headers["content-type"].startswith("text/plain")
        return body


def samples(body: bytes) -> dict[tuple[str, frozenset[str]], float]:
    """Value by name and the values of its labels, in whatever order."""
    found = {}
    for family in text_string_to_metric_families(body.decode()):
        assert family.documentation, family.name
        for sample in family.samples:
            found[sample.name, frozenset(sample.labels.values())] = sample.value
    return found


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a device at work that has answered a few times."""
    folder = tmp_path_factory.mktemp("metrics")
    port = free_port()
    if shutil.which("mosquitto") is None:
        pytest.skip("mosquitto is not installed: apt-get install mosquitto")
    broker = Broker(folder)
    broker.start()
    try:
        with ApplianceProcess(folder, configuration(broker, folder, port)):
            until(lambda: _answered(port), 30, what="answers")
            yield port
    finally:
        broker.kill()


def _answered(port: int) -> bool:
    try:
        now = samples(ask(port))
    except OSError:
        return False
    done = all(now.get(("appliance_result_seconds_count", frozenset([name])), 0) > 5 for name in ("shapes", "tones"))
    return done and now["appliance_publish_seconds_count", frozenset(["stored"])] > 0


def test_every_stage_of_every_answer_is_counted(port: int) -> None:
    now = samples(ask(port))
    results = now["appliance_results_total", frozenset(["shapes", "ok"])]
    assert now["appliance_answers_total", frozenset(["shapes", "local"])] == pytest.approx(results, abs=1)
    for stage in STAGES:
        count = now["appliance_stage_seconds_count", frozenset(["shapes", stage])]
        assert count == pytest.approx(0 if stage == "travel" else results, abs=1), stage
        assert now["appliance_stage_seconds_bucket", frozenset(["shapes", stage, "+Inf"])] == count
    parts = sum(now["appliance_stage_seconds_sum", frozenset(["shapes", stage])] for stage in STAGES)
    total = now["appliance_result_seconds_sum", frozenset(["shapes"])]
    assert 0.5 * total < parts <= total * 1.05
    made = sum(value for (name, _), value in now.items() if name == "appliance_results_total")
    assert 0 < now["appliance_publish_seconds_count", frozenset(["live"])] <= made + 5, "read a moment later"


def test_what_is_wrong_is_counted_by_kind(port: int) -> None:
    now = samples(ask(port))
    assert now["appliance_failures_total", frozenset(["hostile", "no engine"])] > 0
    assert now["appliance_failures_total", frozenset(["shapes", "no engine"])] == 0
    assert now["appliance_source_state", frozenset(["yard", "offline"])] == 1
    assert now["appliance_source_state", frozenset(["dock", "online"])] == 1
    assert now["appliance_status", frozenset(["degraded"])] == 1
    assert now["appliance_complaints", frozenset()] >= 2


def test_engines_threads_broker_and_outbox_are_told(port: int) -> None:
    now = samples(ask(port))
    assert now["appliance_model_engine", frozenset(["shapes", "onnxruntime"])] == 1
    assert now["appliance_model_ready", frozenset(["tones"])] == 1
    assert now["appliance_ready", frozenset()] == 1
    assert now["appliance_broker_connected", frozenset()] == 1
    assert now["appliance_outbox_accepted_total", frozenset()] > 0
    assert now["appliance_outbox_quota_bytes", frozenset()] > 0
    assert now["appliance_outbox_dropped_total", frozenset(["disk full"])] == 0
    for name in ("main", "uplink", "metrics", "capture dock", "model shapes"):
        assert now["appliance_thread_alive", frozenset([name])] == 1
    assert now["appliance_thread_cpu_seconds_total", frozenset(["model shapes"])] > 0
    assert now["process_resident_memory_bytes", frozenset()] > 1e7
    build = next(labels for name, labels in now if name == "appliance_build_info")
    assert "0.1.0" in build


def test_hostile_names_make_no_series_of_their_own(port: int) -> None:
    """A model may have any name, an error any words: neither ends a line, and words of errors are nowhere at all."""
    text = ask(port).decode()
    now = samples(text.encode())
    spoken = HOSTILE.replace("\\n", "\n").replace("\\\\", "\\")
    assert ("appliance_model_ready", frozenset([spoken])) in now
    assert not any(name == "x" for name, _ in now)
    assert "is not installed" not in text
    again = samples(ask(port))
    assert set(again) == set(now), "the series are the same at every scrape"


def test_promtool_has_nothing_to_say(port: int) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(["promtool", "check", "metrics"], input=ask(port), capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def test_web_pages_and_strangers_names_are_refused(port: int) -> None:
    for header, value, status in (("Origin", "http://evil.example", 403), ("Host", "evil.example", 421)):
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(port, **{header: value})
        assert refused.value.code == status
        refused.value.close()


def test_the_number_of_series_is_fixed_by_the_configuration(port: int) -> None:
    lines = [line for line in ask(port).decode().splitlines() if not line.startswith("#")]
    assert len(lines) < 650
    assert not any(re.search(r'="[^"]{200,}"', line) for line in lines)


def test_a_scrape_in_the_middle_of_a_reload_is_answered(broker: Broker, tmp_path: Path) -> None:
    port = free_port()
    config = configuration(broker, tmp_path, port)
    with ApplianceProcess(tmp_path, config) as appliance:
        until(lambda: _answered(port), 30, what="answers")
        for threshold in (0.5, 0.6, 0.7):
            appliance.write(config.replace('model = "shapes"', f'model = "shapes"\nthreshold = {threshold}'))
            before = appliance.log.count("reloaded ")
            appliance.send(signal.SIGHUP)
            while appliance.log.count("reloaded ") == before:
                now = samples(ask(port))
                assert now["appliance_ready", frozenset()] == 1
        until(lambda: _answered(port), 30, what="answers")
