"""Goal G28: a GPU that is lost again and again, on the fake one; the next process serves, if need be without it."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from engines.tensorrt.crash_guard import FORGIVEN_S, MOST, crashes
from tests.appliance.test_daemon import scene
from tests.appliance_process import ApplianceProcess, Ear
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.engines.tensorrt.on_fake_gpu import needs_fake_gpu
from tests.faults.test_restart import RESTART_S

pytestmark = [needs_fake_gpu, pytest.mark.faults, pytest.mark.broker, pytest.mark.timeout(1200)]

BACK_WITHIN_S = 5.0
RESULT = "pipeline/shapes/result"
ENDS = {
    "lost at work": {"FAKECUDA_DIES_AFTER": "40"},
    "lost at the first copy": {"FAKECUDA_FAIL": "copy=719"},
    "killed": {},
}


@pytest.fixture
def plans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "plans"
    monkeypatch.setenv("APPLIANCE_PLANS", str(folder))
    return folder


class Bench:
    """An appliance that is started anew whenever it has ended, as systemd does, and who hears it."""

    def __init__(self, appliance: ApplianceProcess, ear: Ear) -> None:
        self.appliance = appliance
        self.back_s: list[float] = []
        """From each end to the next good answer."""
        self._ear = ear
        self._ended_s = 0.0

    def start(self, **environment: str) -> float:
        """When it was started (monotonic)."""
        if self._ended_s:
            threading.Event().wait(RESTART_S)
        started_s = time.monotonic()
        self.appliance.start(**environment)
        return started_s

    def answers(self, started_s: float, engine: str) -> None:
        """Waits until it does, and notes how long nobody had."""
        self._ear.await_document(RESULT, started_s, within_s=60, status="ok", engine=engine)
        if self._ended_s:
            self.back_s.append(self._ear.arrivals_s(RESULT, started_s)[0] - self._ended_s)

    def ends(self) -> int:
        code = self.appliance.ends(60)
        self._ended_s = time.monotonic()
        return code

    def stop(self) -> None:
        self.appliance.send(signal.SIGTERM)
        assert self.ends() == 0


def an_hour_passes(plans: Path) -> None:
    """For the memory of processes that the GPU has ended."""
    for marker in crashes(plans):
        then_s = time.time() - FORGIVEN_S - 1
        os.utime(marker, (then_s, then_s))


def lose(bench: Bench, how: str) -> None:
    started_s = bench.start(**ENDS[how])
    if how != "lost at the first copy":
        bench.answers(started_s, "tensorrt")
    if how == "killed":
        bench.appliance.send(signal.SIGKILL)
    code = bench.ends()
    assert code == -signal.SIGKILL if how == "killed" else code > 0, f"{how}: ended with {code}, not in order"


def lost_events(heard: list[Any]) -> int:
    """Numbers that are missing between the first and the newest of each life of the outbox."""
    places = [document["spool"] for document in heard]
    epochs = {place["epoch"] for place in places}
    return sum(
        max(seqs) - len(seqs) for seqs in ({each["seq"] for each in places if each["epoch"] == one} for one in epochs)
    )


def test_a_gpu_that_is_lost_costs_seconds_and_no_event(
    broker: Broker, plans: Path, tmp_path: Path, long_run: bool
) -> None:
    ends = list(itertools.islice(itertools.cycle(ENDS), 51 if long_run else MOST))
    from_processor = 0
    with Ear(broker.port) as ear:
        appliance = ApplianceProcess(tmp_path, scene(broker))
        bench = Bench(appliance, ear)
        try:
            bench.answers(bench.start(), "tensorrt")
            bench.stop()
            for number, how in enumerate(ends, start=1):
                lose(bench, how)
                if number % MOST == 0:  # so often within an hour: the GPU is left alone
                    bench.answers(bench.start(), "onnxruntime")
                    from_processor += 1
                    bench.stop()
                    an_hour_passes(plans)
            bench.answers(bench.start(), "tensorrt")
            bench.stop()
        finally:
            if appliance.running:
                appliance.send(signal.SIGKILL)
                appliance.ends()
        assert {each["status"] for each in ear.documents(RESULT)} == {"ok"}
        lost = lost_events(ear.documents("pipeline/shapes/event"))
    back_s = round(max(bench.back_s), 2)
    tell("G28 lost GPU", None, ends=len(ends), back_s=back_s, from_processor=from_processor, lost=lost)
    assert lost == 0
    assert back_s <= BACK_WITHIN_S
