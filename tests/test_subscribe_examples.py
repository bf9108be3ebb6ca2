"""What docs/subscribe.md says to type, and its Node-RED flow, as they stand there, against a real appliance."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import REPOSITORY, Broker, free_port
from tests.contract import judge
from tests.waiting import until

pytestmark = [pytest.mark.broker, pytest.mark.system]

PAGE = (REPOSITORY / "docs" / "subscribe.md").read_text(encoding="utf-8")
FLOW = REPOSITORY / "docs" / "examples" / "node-red.json"
NODE_MODULES = Path(os.environ.get("APPLIANCE_NODE_MODULES", REPOSITORY / ".node" / "node_modules"))

CONFIG = """
[mqtt]
broker = "{url}"
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 10
[[pipeline]]
name = "dock-shapes"
source = "dock"
model = "shapes"
snapshot = true
"""


def block(language: str, containing: str) -> str:
    """The only one of the page that does, about the appliance of this test."""
    found = [each for each in re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) if containing in each]
    assert len(found) == 1
    return str(found[0]).replace("dock-1", "box")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    for program in ("mosquitto", "mosquitto_sub"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install mosquitto mosquitto-clients")
    broker = Broker(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture(scope="module")
def ear(broker: Broker) -> Iterator[Ear]:
    with Ear(broker.port) as ear:
        yield ear


@pytest.fixture(scope="module")
def appliance(broker: Broker, ear: Ear, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApplianceProcess]:
    config = CONFIG.format(url=broker.url)
    with ApplianceProcess(tmp_path_factory.mktemp("appliance"), config) as appliance:
        until(lambda: ear.payloads("/snapshot"), 20)
        yield appliance


def typed(topic: str, broker: Broker, folder: Path) -> str:
    """What the line about this topic says within seconds, with the broker of this test."""
    lines = block("sh", "mosquitto_rr").splitlines()
    line = next(line for line in lines if topic in line).split("#")[0]
    program, _, rest = line.partition(" ")
    once = " -C 1" if program == "mosquitto_sub" and "-C" not in rest else ""
    within = " -W 20" if program != "mosquitto_pub" else ""
    done = subprocess.run(
        ["bash", "-c", f"{program} -h 127.0.0.1 -p {broker.port}{once}{within} {rest}"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd=folder,
    )
    return done.stdout.strip()


@pytest.mark.usefixtures("appliance")
def test_mosquittos_own_programs(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    assert typed("+/available'", broker, tmp_path) == "appliance/box/available online"
    event = typed("+/event", broker, tmp_path)
    assert list(judge("appliance/box/pipeline/dock-shapes/event", event.encode())) == []
    topic, _, count = typed("count/+", broker, tmp_path).partition(" ")
    assert topic.startswith("appliance/box/pipeline/dock-shapes/count/")
    assert json.loads(count)["count"] >= 0
    typed("/snapshot", broker, tmp_path)
    assert (tmp_path / "snapshot.jpg").read_bytes().endswith(b"\xff\xd9")
    since_s = time.monotonic()
    typed("/set", broker, tmp_path)
    ear.await_document("pipeline/dock-shapes/state", since_s, threshold=0.6)
    assert json.loads(typed("request/status", broker, tmp_path))["data"]["type"] == "health"


@pytest.mark.usefixtures("appliance")
def test_the_short_program_tells_who_comes(broker: Broker, tmp_path: Path) -> None:
    program = tmp_path / "doorbell.py"
    program.write_text(block("python", "'after'"), encoding="utf-8")
    command = [sys.executable, str(program), "127.0.0.1", str(broker.port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = [process.stdout.readline().strip() for _ in range(3)]
        finally:
            process.kill()
    assert said[0] == "dock is online"
    assert all(re.fullmatch("(red|green|blue) at dock", line) for line in said[1:])


@contextmanager
def node_red(folder: Path, port: int) -> Iterator[str]:
    """A Node-RED with the page's flow and the broker at `port`; its address."""
    node = shutil.which("node")
    red = NODE_MODULES / "node-red" / "red.js"
    if node is None or not red.exists():
        pytest.skip("needs node and, from npm, what tests/node/package.json names: see setup_node in scripts/setup.sh")
    flow = FLOW.read_text(encoding="utf-8").replace("dock-1", "box")
    assert flow.count('"port": "1883"') == 1
    (folder / "flow.json").write_text(flow.replace('"port": "1883"', f'"port": "{port}"'), encoding="utf-8")
    (folder / "settings.js").write_text("module.exports = { uiHost: '127.0.0.1', telemetry: { enabled: false } };\n")
    address = f"127.0.0.1:{free_port()}"
    command = [node, str(red), "-s", str(folder / "settings.js"), "-u", str(folder), "-p", address.split(":")[1]]
    log = folder / "node-red.log"
    with log.open("wb") as out, subprocess.Popen([*command, "flow.json"], stdout=out, stderr=out) as process:
        try:
            until(lambda: "Connected to broker" in log.read_text(), 60, "Node-RED is connected")
            yield address
        finally:
            process.kill()
    said = log.read_text()
    assert "[error]" not in said, said


def press(address: str, node: str) -> None:
    """As a person does in the editor."""
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("POST", f"/inject/{node}", headers={"Content-Type": "application/json"}, body="{}")
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.peer
@pytest.mark.usefixtures("appliance")
def test_the_flow_for_node_red_announces_and_commands(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    with node_red(tmp_path, broker.port) as address:
        since_s = time.monotonic()
        said = until(lambda: ear.payloads("announcements", since_s), 20)
        assert re.fullmatch(rb"(red|green|blue) at dock", said[0])
        for button, enabled in (("pause", False), ("go-on", True)):
            since_s = time.monotonic()
            press(address, button)
            ear.await_document("pipeline/dock-shapes/state", since_s, enabled=enabled)


def test_the_flow_needs_no_node_beyond_node_reds_own() -> None:
    own = {"tab", "mqtt-broker", "mqtt in", "mqtt out", "switch", "template", "debug", "inject"}
    nodes: list[dict[str, Any]] = json.loads(FLOW.read_text(encoding="utf-8"))
    assert {node["type"] for node in nodes} <= own
    ids = {node["id"] for node in nodes}
    assert all(target in ids for node in nodes for wire in node.get("wires", []) for target in wire)
