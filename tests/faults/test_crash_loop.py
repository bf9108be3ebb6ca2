"""A new model ends the process over and over, with the network cable out: the device runs the old one by itself."""

from __future__ import annotations

import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from appliance.catalogue import Catalogue
from capture.open import open_source
from capture.options import VideoOptions
from capture.samples import Frame
from engines.library import Library
from tests.appliance.sync.world import Hands, served_mqtt
from tests.appliance_process import ApplianceProcess, Ear
from tests.bad_models import crash_in_the_light, spoiled
from tests.chaos.telling import tell
from tests.conftest import REPOSITORY, Broker, free_port
from tests.registries import Owner
from tests.supervisor import Supervisor
from tests.tcp_faults import FaultyProxy
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.system, pytest.mark.timeout(600)]

UNIT = (REPOSITORY / "systemd" / "appliance.service").read_text(encoding="utf-8")
WITHIN_S = 60.0
ANSWERS = 30
"""In one life: it does not end any more."""
TERMS = {
    "on probation": "shadow_s = 1.0\nshadow_samples = 20",
    "in shadow": "shadow_s = 600.0\nshadow_samples = 1000000",
}
STATES = {"on probation": "probation", "in shadow": "shadow"}


def of_unit(key: str) -> float:
    found = re.search(rf"^{key}=([0-9.]+)$", UNIT, re.MULTILINE)
    assert found is not None, key
    return float(found[1])


def config(broker: str, folder: Path, metrics: int, terms: str) -> str:
    return f"""
[mqtt]
broker = "{broker}"
[metrics]
listen = "127.0.0.1:{metrics}"
[models]
registry = "mqtt"
root = "{folder}/root.json"
slower = 500
probation_s = 600.0
{terms}
[[camera]]
name = "dock"
uri = "images:{folder}/now.png"
loop = true
fps = 10
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
every = true
timeout_s = 30.0
"""


class Light:
    """Before the one camera: a usual picture, or nothing but white."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "now.png"
        with open_source("dock", "scene:shapes", VideoOptions(width=320, height=192, fps=10)) as scene:
            frame = next(each for each in scene if each.seq == 20)
        assert isinstance(frame, Frame)
        self._show(frame.pixels)

    def on(self) -> None:
        self._show(np.full((192, 320, 3), 255, np.uint8))

    def _show(self, pixels: Any) -> None:
        draft = self._path.with_name("next.png")
        cv2.imwrite(str(draft), pixels)
        draft.replace(self._path)


def answers(port: int) -> float:
    """Of this life, as the device's own number says; 0 while nobody tells it."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=2) as reply:
            text = reply.read().decode()
    except (urllib.error.URLError, OSError):
        return 0.0
    found = re.search(r'^appliance_results_total\{pipeline="shapes",status="ok"\} (\S+)', text, re.MULTILINE)
    return 0.0 if found is None else float(found[1])


@pytest.fixture
def owner(tmp_path: Path) -> Owner:
    owner = Owner(tmp_path / "registry")
    owner.publish(spoiled(tmp_path / "bad", crash_in_the_light))
    (tmp_path / "root.json").write_bytes(owner.anchor)
    return owner


@pytest.fixture
def cable(broker: Broker, owner: Owner) -> Iterator[FaultyProxy]:
    """All that the device has of the network: to the broker, and through it to the registry."""
    with FaultyProxy(broker.port) as cable, served_mqtt(Hands(owner.folder), broker):
        yield cable


@pytest.mark.parametrize("when", TERMS)
def test_after_a_crash_loop_the_old_model_runs_with_the_network_cable_out(
    when: str, cable: FaultyProxy, broker: Broker, tmp_path: Path
) -> None:
    """What systemd does is done as the unit says; what ends the process is the model, in a light that nobody tried. The
    time counts where the machine is not overloaded."""
    light, port = Light(tmp_path), free_port()

    def active() -> str:
        return Catalogue.before_shipped(Library(tmp_path / "models")).find("shapes").manifest.version

    with (
        Supervisor(tmp_path) as systemd,
        Ear(broker.port) as ear,
        ApplianceProcess(tmp_path, config(cable.url, tmp_path, port, TERMS[when]), **systemd.environment) as appliance,
    ):

        def reported() -> Any:
            reports = ear.documents("box/models/reported")
            return reports[-1]["models"].get("shapes", {}) if reports else {}

        ear.await_document("pipeline/shapes/result", within_s=60, status="ok")
        wanted = json.dumps({"n": 1, "models": {"shapes": {"version": "2"}}}).encode()
        ear.forge("appliance/box/models/desired", wanted, retain=True)
        until(lambda: reported().get("state") == STATES[when], 120, "it is tried")
        if when == "on probation":
            until(lambda: ear.documents("pipeline/shapes/result")[-1]["model"]["version"] == "2", 60)
        cable.stalled = True
        light.on()
        until(lambda: not appliance.running, 60, "the model ends the process")
        first_s = answered_s = time.monotonic()
        ended, heard = 0, 0.0
        while heard < ANSWERS:
            if not appliance.running:
                assert appliance.ends() < 0, "by a signal"
                ended, heard = ended + 1, 0.0
                assert ended < of_unit("StartLimitBurst"), "systemd gives up"
                threading.Event().wait(of_unit("RestartSec"))
                appliance.start()
            threading.Event().wait(0.05)
            before, heard = heard, answers(port)
            if heard and not before:
                answered_s = time.monotonic()
            assert time.monotonic() - first_s < 300
        took_s = answered_s - first_s
        assert appliance.running
        assert active() == "1"
        since_s = time.monotonic()
        cable.reset()
        cable.stalled = False
        until(lambda: reported().get("state") == "returned", 60, "it says so once it can")
        until(lambda: ear.documents("pipeline/shapes/result", since_s), 60)
        assert {each["model"]["version"] for each in ear.documents("pipeline/shapes/result", since_s)} == {"1"}
        assert "3 starts without being kept" in reported()["reason"]
        assert reported()["active"] == "1"
    tell(f"G33 crash loop {when}", None, crashes=ended, returned_after_s=round(took_s, 1), went_back=1)
    assert ended == 3
    assert took_s <= WITHIN_S or os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
