"""Alerts, scrape configurations and dashboard, read by Prometheus' own tool; they use names that we publish."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from appliance.service.intake import IntakeFigures
from appliance.service.metrics import exposition
from appliance.service.room import Room
from tests.deploy.tools import DEPLOY, run

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_the_alerts_are_rules_and_speak_when_they_should() -> None:
    folder = DEPLOY / "prometheus"
    assert "SUCCESS" in run("promtool", "check", "rules", "alerts.yaml", folder=folder)
    run("promtool", "test", "rules", "alerts_test.yaml", folder=folder)


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    text = (DEPLOY / "prometheus" / "alerts.yaml").read_text()
    names = re.findall(r"- alert: (\w+)", text)
    tested = (DEPLOY / "prometheus" / "alerts_test.yaml").read_text()
    assert len(names) >= 7
    assert [name for name in names if f"alertname: {name}" not in tested] == []
    assert text.count("action: ") == text.count("summary: ") == len(names)


def test_the_scrape_configurations_are_ones(tmp_path: Path) -> None:
    run("promtool", "check", "config", "--syntax-only", "prometheus.yaml", folder=DEPLOY / "prometheus")
    # Debian's Prometheus knows no Kubernetes: the rest of that file is looked at without it.
    text = (DEPLOY / "prometheus" / "kubernetes.yaml").read_text()
    plain = re.sub(r"    kubernetes_sd_configs:\n(      .*\n)+", "    static_configs: []\n", text)
    assert plain != text
    (tmp_path / "plain.yaml").write_text(plain)
    run("promtool", "check", "config", "--syntax-only", "plain.yaml", folder=tmp_path)


def test_every_panel_asks_in_the_language_of_prometheus(tmp_path: Path) -> None:
    lines = ["groups:", "  - name: panels", "    rules:"]
    for number, expression in enumerate(EXPRESSIONS):
        lines += [f"      - record: panel_{number}", f"        expr: {json.dumps(expression.replace('$model', '.*'))}"]
    (tmp_path / "panels.yaml").write_text("\n".join(lines) + "\n")
    assert f"{len(EXPRESSIONS)} rules found" in run("promtool", "check", "rules", "panels.yaml", folder=tmp_path)


def test_the_dashboard_is_whole() -> None:
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        squares = {(place["x"] + dx, place["y"] + dy) for dx in range(place["w"]) for dy in range(place["h"])}
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not squares & taken, f"{panel['title']} lies over another panel"
        taken |= squares
        assert panel["description"], panel["title"]
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert set(re.findall(r"\$\{?(\w+)\}?", json.dumps(DASHBOARD["panels"]))) <= variables
    datasource = (DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text()
    assert "type: prometheus" in datasource


def test_the_dashboard_the_alerts_and_the_autoscaler_use_only_names_that_there_are() -> None:
    """A panel that asks for a metric of an older name would just be empty."""
    with Room({}) as room:
        body = exposition(room, IntakeFigures()).decode()
    known = {family.name for family in text_string_to_metric_families(body)}
    endings = ("", "_total", "_sum", "_count")
    pages = [path for path in DEPLOY.rglob("*") if path.suffix in (".json", ".yaml", ".md")]
    used = {name for page in pages for name in re.findall(r"\bappliance_service_[a-z_]+", page.read_text())}
    assert len(used) > 15
    assert used <= {name + ending for name in known for ending in endings}
