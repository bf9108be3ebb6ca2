"""A whole Debian machine under QEMU, whose kernel has cameras and sound cards that the test's own kernel lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
GUEST_PYTHON = (3, 11)
"""Debian 12's; the packages of the test's virtual environment run in the machine only when they are made for it."""

ALONE = "init=/sbin/appliance-init"
SYSTEMD = "systemd.run=/sbin/appliance-inside systemd.run_success_action=poweroff systemd.run_failure_action=poweroff"
"""What the kernel is told: who is to be the first process."""

PROGRAMS = {"qemu-system-x86_64": "qemu-system-x86", "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs"}


def machine_image() -> Path:
    """Folder of the built machine, in .cache/vm or APPLIANCE_VM; built when missing. Skips where that is impossible."""
    folder = Path(os.environ.get("APPLIANCE_VM", REPOSITORY / ".cache" / "vm"))
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        pytest.skip(f"no virtual machine: apt-get install {' '.join(missing)}")
    if sys.version_info[:2] != GUEST_PYTHON:
        pytest.skip(f"the machine has Python {'.'.join(map(str, GUEST_PYTHON))}, the tests run on another")
    build, built_by = Path(__file__).parent / "build", folder / "built-by"
    if not built_by.exists() or built_by.read_bytes() != build.read_bytes():
        if os.geteuid() != 0:
            pytest.skip(f"building the virtual machine needs root: sudo tests/vm/build {folder}")
        subprocess.run([build, folder], check=True)
    return folder


def run_in_machine(script: str, share: Path, within_s: float, first: str = ALONE, memory_mb: int = 1024) -> str:
    """What the shell `script` wrote, run as root in a fresh machine; fails the test when it does not end with 0.

    `first`: nothing else runs (ALONE), or a systemd that has booted (SYSTEMD). In the machine /mnt/share is `share`
    (writable), /mnt/repository the repository, /mnt/site the packages of the virtual environment. The image itself
    never changes.
    """
    folder = machine_image()
    (share / "run").write_text(script)
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", f"{memory_mb}"]
    command += ["-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", "-device", "virtio-rng-pci"]
    command += ["-kernel", str(folder / "kernel"), "-initrd", str(folder / "initrd")]
    command += ["-append", f"root=/dev/vda rw console=ttyS0 quiet mitigations=off {first}"]
    command += ["-drive", f"file={folder / 'image'},if=virtio,format=raw,snapshot=on,cache=unsafe"]
    shared = {"share": share, "repository": REPOSITORY, "site": Path(sysconfig.get_path("purelib"))}
    for tag, path in shared.items():
        readonly = "" if tag == "share" else ",readonly=on"
        command += ["-virtfs", f"local,path={path},mount_tag={tag},security_model=none{readonly}"]
    machine = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=within_s, check=False)
    output = share / "output"
    said = output.read_text(errors="replace") if output.exists() else ""
    status = share / "status"
    assert status.exists(), f"the machine did not get to the end:\n{machine.stdout[-2000:]}{machine.stderr}\n{said}"
    assert status.read_text().strip() == "0", said
    return said
