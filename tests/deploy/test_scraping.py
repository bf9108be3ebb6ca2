"""A real Prometheus reads a real device over TLS: its rules load, every panel of the dashboard has something to show.

Skipped where there is no Prometheus (apt-get install prometheus).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliance_process import ApplianceProcess
from tests.certificates import Authority
from tests.conftest import Broker, free_port
from tests.deploy.test_prometheus import DASHBOARDS, PROMETHEUS, VARIABLES, expressions
from tests.waiting import until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="no Prometheus: apt-get install prometheus"),
]

STARTING = 503
SELDOM = (
    "appliance_failures_total",
    "appliance_decisions_total",
    "appliance_outbox_dropped_total",
    "appliance_messages_dropped_total",
    "appliance_handed_over_dropped_total",
    "appliance_temperature_celsius",
    "appliance_power_watts",
    "appliance_energy_joules_total",
)
"""Of which a device that is well, in a room without sensors, has nothing to tell."""


def device(broker: Broker, folder: Path, port: int) -> str:
    certificate, key = Authority(folder / "authority").sign("box")
    (folder / "token").write_text("a long secret\n")
    return f"""
[mqtt]
broker = "{broker.url}"
[outbox]
require_subscriber = false
[metrics]
listen = "127.0.0.1:{port}"
cert_file = "{certificate}"
key_file = "{key}"
token_file = "{folder / "token"}"
[[camera]]
name = "dock"
uri = "scene:shapes"
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
"""


def watching(folder: Path, port: int) -> str:
    """devices.yaml as a person would fill it in, in a hurry."""
    text = (PROMETHEUS / "devices.yaml").read_text()
    for what, by in (
        ("dock-1.example.com:9464", f"127.0.0.1:{port}"),
        ("/etc/secrets/trusted.crt", str(folder / "authority" / "authority.crt")),
        ("/etc/secrets/metrics-token", str(folder / "token")),
        ("[device-alerts.yaml]", f"[{PROMETHEUS / 'device-alerts.yaml'}]"),
        ("15s", "1s"),
    ):
        assert what in text
        text = text.replace(what, by)
    return text


class Prometheus:
    """Started and ended with `with`."""

    def __init__(self, folder: Path, config: str) -> None:
        self._folder = folder
        self._port = free_port()
        (folder / "prometheus.yaml").write_text(config)

    def __enter__(self) -> Prometheus:
        command = [
            "prometheus",
            f"--config.file={self._folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={self._folder / 'series'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    def ask(self, path: str, **given: str) -> Any:
        """What it answers under `data`; None while it is starting."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(given)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                if error.code != STARTING:
                    raise AssertionError(f"{given}: {error.read().decode()}") from None
        except OSError:  # it does not listen yet
            pass
        return None

    def has(self, expression: str) -> bool:
        found = self.ask("query", query=expression)
        return bool(found and found["result"])


@pytest.fixture
def prometheus(broker: Broker, tmp_path: Path) -> Iterator[Prometheus]:
    port = free_port()
    with (
        ApplianceProcess(tmp_path, device(broker, tmp_path, port)),
        Prometheus(tmp_path, watching(tmp_path, port)) as prometheus,
    ):
        yield prometheus


def test_it_reads_the_device_and_every_panel_has_something_to_show(prometheus: Prometheus) -> None:
    until(lambda: prometheus.has('up{job="appliance"} == 1'), 40, what="a scrape")
    until(lambda: prometheus.has("rate(appliance_result_seconds_count[1m]) > 0"), 40, what="results")
    until(lambda: prometheus.has("rate(appliance_outbox_accepted_total[1m]) > 0"), 40, what="events")
    empty = []
    for expression in expressions(DASHBOARDS["device"]):
        asked = VARIABLES.sub(".*", expression)
        if not any(name in asked for name in SELDOM) and not prometheus.has(asked):
            empty.append(asked)
    assert empty == []
    rules = prometheus.ask("rules")["groups"][0]["rules"]
    names = set(re.findall(r"- alert: (\w+)", (PROMETHEUS / "device-alerts.yaml").read_text()))
    until(lambda: all(each["health"] == "ok" for each in prometheus.ask("rules")["groups"][0]["rules"]), 20)
    assert {each["name"] for each in rules} == names
