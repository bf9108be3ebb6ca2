"""Alerts, scrape configurations and dashboards, read by Prometheus' own tool; they use names that we publish."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance.metrics.exposition import exposition as of_device
from appliance.service.intake import IntakeFigures
from appliance.service.metrics import exposition as of_service
from appliance.service.room import Room
from tests.appliance.metrics.test_families import everything
from tests.deploy.tools import DEPLOY, run

GRAFANA, PROMETHEUS = DEPLOY / "grafana", DEPLOY / "prometheus"
DASHBOARDS: dict[str, dict[str, Any]] = {
    name: json.loads((GRAFANA / f"{name}.json").read_text()) for name in ("dashboard", "device")
}
SERVICE, DEVICE = "appliance_service_", "appliance_(?!service_)"
ENDINGS = ("", "_total", "_sum", "_count", "_bucket")
VARIABLES = re.compile(r"\$\{?(\w+)\}?")

dashboards = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
alerts = pytest.mark.parametrize("name", ["alerts", "device-alerts"])


def expressions(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@alerts
def test_the_alerts_are_rules_and_speak_when_they_should(name: str) -> None:
    assert "SUCCESS" in run("promtool", "check", "rules", f"{name}.yaml", folder=PROMETHEUS)
    run("promtool", "test", "rules", f"{name}_test.yaml", folder=PROMETHEUS)


@alerts
def test_every_alert_is_tested_and_says_what_to_do(name: str) -> None:
    text = (PROMETHEUS / f"{name}.yaml").read_text()
    names = re.findall(r"- alert: (\w+)", text)
    tested = (PROMETHEUS / f"{name}_test.yaml").read_text()
    assert len(names) >= 7
    assert [each for each in names if f"alertname: {each}" not in tested] == []
    assert text.count("action: ") == text.count("summary: ") == len(names)


def test_the_scrape_configurations_are_ones(tmp_path: Path) -> None:
    for name in ("prometheus.yaml", "devices.yaml"):
        run("promtool", "check", "config", "--syntax-only", name, folder=PROMETHEUS)
    # Debian's Prometheus knows no Kubernetes: the rest of that file is looked at without it.
    text = (PROMETHEUS / "kubernetes.yaml").read_text()
    plain = re.sub(r"    kubernetes_sd_configs:\n(      .*\n)+", "    static_configs: []\n", text)
    assert plain != text
    (tmp_path / "plain.yaml").write_text(plain)
    run("promtool", "check", "config", "--syntax-only", "plain.yaml", folder=tmp_path)


@dashboards
def test_every_panel_asks_in_the_language_of_prometheus(dashboard: dict[str, Any], tmp_path: Path) -> None:
    lines = ["groups:", "  - name: panels", "    rules:"]
    asked = expressions(dashboard)
    for number, expression in enumerate(asked):
        lines += [f"      - record: panel_{number}", f"        expr: {json.dumps(VARIABLES.sub('.*', expression))}"]
    (tmp_path / "panels.yaml").write_text("\n".join(lines) + "\n")
    assert f"{len(asked)} rules found" in run("promtool", "check", "rules", "panels.yaml", folder=tmp_path)


@dashboards
def test_the_dashboard_is_whole(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        squares = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not squares & taken, f"{panel['title']} lies over another panel"
        taken |= squares
        assert panel["description"], panel["title"]
        assert panel["type"] in ("stat", "timeseries")
        assert all(target["datasource"]["uid"] == "${source}" for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    assert set(VARIABLES.findall(json.dumps(panels))) <= variables
    datasource = (GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text()
    assert "type: prometheus" in datasource


def test_dashboards_have_names_of_their_own() -> None:
    for key in ("uid", "title"):
        assert len({each[key] for each in DASHBOARDS.values()}) == len(DASHBOARDS)


def test_dashboards_alerts_and_autoscaler_use_only_names_that_there_are() -> None:
    """A panel that asks for a metric of an older name would just be empty."""
    with Room({}) as room:
        service = of_service(room, IntakeFigures()).decode()
    pages = [path for path in DEPLOY.rglob("*") if path.suffix in (".json", ".yaml", ".md")]
    for prefix, body in ((SERVICE, service), (DEVICE, of_device(everything()).decode())):
        known = {family.name for family in text_string_to_metric_families(body)}
        used = {name for page in pages for name in re.findall(rf"\b{prefix}[a-z0-9_]+", page.read_text())}
        assert len(used) > 15
        assert used <= {name + ending for name in known for ending in ENDINGS}


def test_labels_that_dashboards_and_alerts_name_are_ones_that_there_are() -> None:
    """`pipeline=` where the label is called otherwise would just be empty, too."""
    body = of_device(everything()).decode()
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    given = {"instance", "job"}
    asked = [*expressions(DASHBOARDS["device"]), (PROMETHEUS / "device-alerts.yaml").read_text()]
    found = 0
    for text in asked:
        for name, inside in re.findall(r"\b(appliance_\w+)\{([^}]*)\}", text):
            found += 1
            assert set(re.findall(r"(\w+)=~?\"", inside)) <= labels[name] | given, name
    assert found > 30
