"""Goal G25: a stage that stands still is found out, and trouble elsewhere is not taken for one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliance.test_daemon import scene
from tests.appliance_process import ApplianceProcess, Ear
from tests.chaos.telling import tell
from tests.conftest import Broker
from tests.disks import fill, small_disk
from tests.faults.test_lost_disk import Disk
from tests.sluggish import SluggishAppliance
from tests.supervisor import WATCHDOG_S, Supervisor
from tests.uplinks import Listener
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.timeout(900)]

QUIET_S = 8.0
"""A daemon that makes progress says so five times a second: silence for so long is no accident of a busy machine."""
RESULT = "pipeline/shapes/result"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path) as supervisor:
        yield supervisor


def fires_after_s(supervisor: Supervisor, stalled_s: float, within_s: float) -> float:
    """Waits until it falls silent; when systemd would end it, counted from the stall."""
    until(lambda: supervisor.silent_s() > QUIET_S, within_s, "no more signs of progress")
    return supervisor.last_alive_s + supervisor.watchdog_s - stalled_s


def test_an_inference_that_never_ends_silences_the_watchdog(
    broker: Broker, supervisor: Supervisor, tmp_path: Path
) -> None:
    sluggish = SluggishAppliance(tmp_path, scene(broker), **supervisor.environment)
    with sluggish as appliance, Ear(broker.port) as ear:
        until(supervisor.ready, 30)
        stalled_s = time.monotonic()
        appliance.slow("hang")
        seconds = fires_after_s(supervisor, stalled_s, 30)
        appliance.slow("")
        until(lambda: supervisor.silent_s() < 1, 10, "it goes on, and says so")
        ear.await_document(RESULT, time.monotonic(), status="ok")
    tell("G25 stalled inference", None, stalls=1, fires_after_s=round(seconds, 1))
    assert seconds <= 2 * WATCHDOG_S


def test_a_process_that_is_stopped_is_silent_at_once(broker: Broker, supervisor: Supervisor, tmp_path: Path) -> None:
    with ApplianceProcess(tmp_path, scene(broker), **supervisor.environment) as appliance:
        until(supervisor.ready, 30)
        stalled_s = time.monotonic()
        appliance.send(signal.SIGSTOP)
        seconds = fires_after_s(supervisor, stalled_s, 20)
        appliance.send(signal.SIGCONT)
        until(lambda: supervisor.silent_s() < 1, 10)
    tell("G25 stopped process", None, stalls=1, fires_after_s=round(seconds, 1))
    assert seconds <= 2 * WATCHDOG_S


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None or shutil.which("fsfreeze") is None:
        pytest.skip("freezing a disk of one's own needs root, mkfs.ext4 and fsfreeze")
    disk = Disk(tmp_path / "state")
    disk.make()
    if not disk.mount():
        pytest.skip("no disk image can be mounted here (a container without loop devices?)")
    yield disk
    disk.unmount()


@pytest.mark.long
def test_a_disk_that_never_answers_silences_the_watchdog_and_costs_no_event(
    broker: Broker, supervisor: Supervisor, disk: Disk, tmp_path: Path
) -> None:
    """Writes to a frozen file system wait in the kernel, as those to a disk that has died do."""
    appliance = ApplianceProcess(tmp_path, "", **supervisor.environment)
    text = f'[device]\nname = "box"\nstate_dir = "{disk.folder}"\n{scene(broker)}'
    appliance.path.write_text(text, encoding="utf-8")
    with appliance, Ear(broker.port) as ear:
        until(supervisor.ready, 30)
        ear.await_document("pipeline/shapes/event", within_s=20)
        subprocess.run(["fsfreeze", "--freeze", str(disk.folder)], check=True)
        try:
            stalled_s = time.monotonic()
            seconds = fires_after_s(supervisor, stalled_s, 60)
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", str(disk.folder)], check=True)
        until(lambda: supervisor.silent_s() < 1, 10)
        ear.await_document("pipeline/shapes/event", time.monotonic(), within_s=30)
        places = [each["spool"] for each in ear.documents("pipeline/shapes/event")]
        assert [place["seq"] for place in places] == list(range(1, len(places) + 1)), "nothing is missing"
        appliance.send(signal.SIGTERM)
        appliance.ends()
    tell("G25 stalled commit", None, stalls=1, commit_fires_after_s=round(seconds, 1), lost=0)
    assert seconds <= 2 * WATCHDOG_S


def pass_time(seconds: float) -> None:
    """What is looked for is that nothing happens."""
    threading.Event().wait(seconds)


def test_an_outage_of_the_broker_is_no_stall_and_costs_no_event(
    broker: Broker, supervisor: Supervisor, tmp_path: Path, long_run: bool
) -> None:
    outage_s = 600.0 if long_run else 12.0
    with ApplianceProcess(tmp_path, scene(broker), **supervisor.environment) as appliance:
        until(supervisor.ready, 30)
        ready_s = time.monotonic()
        broker.kill()
        pass_time(outage_s)
        broker.start()
        with Listener(broker.port, "appliance/box/pipeline/shapes/event") as listener:
            until(lambda: listener.messages, 20, "events come")
            silence_s = supervisor.longest_silence_s(ready_s)
        assert appliance.running
    tell("G25 outage", None, outage_s=outage_s, longest_silence_s=round(silence_s, 2))
    assert silence_s < WATCHDOG_S


def test_a_full_disk_is_no_stall(broker: Broker, supervisor: Supervisor, tmp_path: Path, long_run: bool) -> None:
    full_s = 60.0 if long_run else 5.0
    with small_disk(tmp_path / "state") as folder, Ear(broker.port) as ear:
        appliance = ApplianceProcess(tmp_path, "", **supervisor.environment)
        text = f'[device]\nname = "box"\nstate_dir = "{folder}"\n{scene(broker)}'
        appliance.path.write_text(text, encoding="utf-8")
        with appliance:
            until(supervisor.ready, 30)
            fill(folder)
            ready_s = time.monotonic()
            pass_time(full_s)
            ear.await_document(RESULT, time.monotonic(), status="ok")
            silence_s = supervisor.longest_silence_s(ready_s)
            appliance.send(signal.SIGTERM)
            assert appliance.ends() == 0
    tell("G25 full disk", None, full_s=full_s, longest_silence_s=round(silence_s, 2))
    assert silence_s < WATCHDOG_S
