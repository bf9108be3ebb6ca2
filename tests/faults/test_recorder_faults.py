"""Recording while the process is killed, the disk is full, or the budget is small: the pipeline goes on."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.recorder import video
from appliance.recorder.shelf import clips
from tests.appliance_process import ApplianceProcess, Ear
from tests.conftest import Broker
from tests.disks import fill, small_disk
from tests.waiting import until

pytestmark = [pytest.mark.faults, pytest.mark.broker, pytest.mark.timeout(300)]


def config(broker: Broker, more: str = "leave_free_mb = 0") -> str:
    return f"""
[mqtt]
broker = "{broker.url}"
[[camera]]
name = "dock"
uri = "scene:shapes"
fps = 10
[[pipeline]]
name = "shapes"
source = "dock"
model = "shapes"
[pipeline.recorder]
before_s = 1
after_s = 1
longest_s = 2
{more}
"""


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:
    with Ear(broker.port) as ear:
        yield ear


def size(folder: Path) -> int:
    total = 0
    for path in folder.glob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def test_killed_again_and_again_every_clip_plays_and_no_part_stays(
    broker: Broker, ear: Ear, tmp_path: Path, long_run: bool
) -> None:
    folder = tmp_path / "recordings" / "shapes"
    chance, pause = random.Random(11), threading.Event()
    appliance = ApplianceProcess(tmp_path, config(broker))
    with appliance:
        for _ in range(30 if long_run else 4):
            until(lambda: list(folder.glob("*.part")), 40, what="something is recorded")
            pause.wait(chance.uniform(0, 1.5))
            appliance.send(signal.SIGKILL)
            appliance.ends()
            appliance.start()
        appliance.send(signal.SIGKILL)
        appliance.ends()
        appliance.write(config(broker).replace("scene:shapes", "file:gone.mp4"))
        appliance.start()
        until(lambda: not list(folder.glob("*.part")), 200)
    found = clips(folder)
    assert found
    for clip in found:
        assert clip.kept > 0
        assert video.count(folder / clip.file) >= clip.kept, clip.name
    whole = {clip.name for clip in found}
    assert {path.name.partition(".")[0] for path in folder.iterdir()} == whole
    assert len(ear.documents("pipeline/shapes/result")) > 0


def test_a_full_disk_ends_recording_and_nothing_else_and_room_begins_it_again(
    broker: Broker, ear: Ear, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", 48 << 20) as disk, ApplianceProcess(tmp_path / "disk", config(broker)) as box:
        folder = disk / "recordings" / "shapes"
        until(lambda: clips(folder), 60)
        filler = fill(disk)

        def complains() -> Any:
            last = ear.documents("box/health")[-1:]
            return [reason for each in last for reason in each["reasons"] if reason.startswith("shapes: ")]

        said = until(complains, 60)
        assert "disk is full" in said[0] or "No space left" in said[0] or "no room" in said[0], said
        before = len(ear.documents("pipeline/shapes/result"))
        until(lambda: len(ear.documents("pipeline/shapes/result")) > before + 20, 20)
        assert box.running
        had = {clip.name for clip in clips(folder)}
        filler.unlink()
        until(lambda: {clip.name for clip in clips(folder)} - had, 90, what="recorded again")
        until(lambda: not complains(), 60)


def test_a_small_budget_is_never_exceeded_and_the_newest_clips_stay(broker: Broker, ear: Ear, tmp_path: Path) -> None:
    folder = tmp_path / "recordings" / "shapes"
    budget = 3_000_000
    highest = 0
    with ApplianceProcess(tmp_path, config(broker, "leave_free_mb = 0\nmax_mb = 3")):

        def fourth() -> bool:
            nonlocal highest
            highest = max(highest, size(folder))
            newest = clips(folder, 1)
            return bool(newest) and int(newest[0].name[:8]) >= 6

        until(fourth, 120)
    assert highest <= budget
    assert clips(folder)[-1].name[:8] != "00000001"
