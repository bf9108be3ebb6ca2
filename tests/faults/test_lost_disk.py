"""The disk of the state folder turns read-only, as a kernel does after an error, is repaired and comes back."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.outbox.outbox import Outbox
from tests.disks import small_disk
from tests.outbox_life import waiting
from tests.uplinks import Running, settings, spool
from tests.waiting import until

NOWHERE = "mqtt://127.0.0.1:1"


class Disk:
    """A real ext4 in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._image = folder.with_suffix(".img")

    def make(self) -> None:
        self.folder.mkdir()
        self._image.touch()
        os.truncate(self._image, 64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self._image)], check=True)

    def mount(self) -> bool:
        return self._mount("loop", str(self._image))

    def abort(self) -> None:
        """What the kernel does when the disk reports an error: nothing more is written, whoever has files open."""
        assert self._mount("remount,abort")

    def _mount(self, options: str, *image: str) -> bool:
        command = ["mount", "-o", options, *image, str(self.folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def unmount(self) -> bool:
        return subprocess.run(["umount", str(self.folder)], capture_output=True, check=False).returncode == 0

    def repair(self) -> None:
        subprocess.run(["fsck.ext4", "-y", str(self._image)], capture_output=True, check=False)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None:
        pytest.skip("making and mounting a disk needs root and mkfs.ext4")
    disk = Disk(tmp_path / "state")
    disk.make()
    if not disk.mount():
        pytest.skip("no disk image can be mounted here (a container without loop devices?)")
    yield disk
    disk.unmount()


@pytest.mark.faults
def test_a_disk_that_turns_read_only_under_it_and_is_repaired_costs_no_event(disk: Disk) -> None:
    wanted = settings(NOWHERE, disk.folder)
    with Running(wanted) as uplink:
        for number in range(100):
            uplink.mailbox.put(spool(number))
        until(lambda: uplink.figures().accepted == 100)
        disk.abort()
        for number in range(100, 200):
            uplink.mailbox.put(spool(number))
        until(lambda: any("Read-only" in alarm for alarm in uplink.figures().alarms))
        until(disk.unmount, what="nothing of it is held open")
        disk.repair()
        assert disk.mount()
        until(lambda: uplink.figures().accepted == 200, 20)
        assert uplink.figures().dropped == 0
    with Outbox(wanted.outbox_path) as outbox:
        assert [document["seq"] for document in waiting(outbox).values()] == list(range(200))


@pytest.mark.faults
def test_a_start_on_a_read_only_disk_waits_for_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "state") as folder:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        running = Running(settings(NOWHERE, folder))
        running.uplink.claim()
        with running as uplink:
            uplink.mailbox.put(spool(1))
            until(lambda: any("Read-only" in alarm for alarm in uplink.figures().alarms))
            subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
            until(lambda: uplink.figures().accepted == 1, 10)
            until(lambda: not uplink.figures().alarms)
