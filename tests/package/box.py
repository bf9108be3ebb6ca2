"""A Debian of our own with a real systemd, without a network: systemd-nspawn, in namespaces of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from types import TracebackType

import pytest

from tests.waiting import until

PROGRAMS = {"mmdebstrap": "mmdebstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux"}
"""What a box is made with, and the package that has it."""
PACKAGES = (
    "systemd,systemd-sysv,dbus,python3-venv,libportaudio2,libasound2-plugins,libgl1,libglib2.0-0,mosquitto,"
    "mosquitto-clients,procps,iproute2,netbase"
)
"""What the appliance's package depends on, so that it can be installed without a network; a broker, and tools."""


def skip_unless_possible() -> None:
    """Skips the calling test, with the reason, where no box can be made."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a systemd in namespaces of its own")
    missing = sorted({package for program, package in PROGRAMS.items() if shutil.which(program) is None})
    if missing:
        pytest.skip(f"not installed: apt-get install {' '.join(missing)}")


def bootstrap(root: Path, suite: str) -> None:
    """A fresh system of this release; takes a minute or more, and Debian's archive."""
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", suite, str(root)], check=True
    )
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")


class Box:
    """Booted and ended with `with`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Box:
        # An empty id is filled at the first boot; /run on a disk is refused, and nobody outside manages machines.
        # The clock may be read, as on a device; without CAP_SYS_TIME nobody sets it.
        (self.root / "etc/machine-id").write_text("")
        command = (
            'mount -t tmpfs tmpfs /run; exec systemd-nspawn -q -D "$0" --boot --register=no --keep-unit '
            '--private-network --system-call-filter="adjtimex clock_adjtime" -M box --console=pipe'
        )
        self._nspawn = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", command, str(self.root)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._leader = until(self._find_leader, 30, "systemd is started")
        until(self._is_up, 30, "systemd has booted")
        self.run("ip link set lo up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._nspawn is not None
        self.run("systemctl poweroff", check=False)
        try:
            self._nspawn.wait(20)
        except subprocess.TimeoutExpired:
            os.kill(self._leader, signal.SIGKILL)
            self._nspawn.wait(20)

    def run(self, script: str, check: bool = True, within_s: float = 240) -> str:
        """What a shell in the box says, on both its outputs; fails the test when it fails."""
        done = subprocess.run(
            [*self._inside(), "sh", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=within_s,
            check=False,
        )
        assert not check or done.returncode == 0, f"{script}: exit {done.returncode}\n{done.stdout}"
        return done.stdout.strip()

    def start(self, command: list[str], output: Path) -> subprocess.Popen[bytes]:
        """A program in the box that goes on meanwhile."""
        with output.open("wb") as file:
            return subprocess.Popen([*self._inside(), *command], stdout=file, stderr=subprocess.STDOUT)

    def _inside(self) -> list[str]:
        clean = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TERM=dumb"]
        return ["nsenter", "-t", str(self._leader), "-a", *clean]

    def _find_leader(self) -> int:
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, "systemd-nspawn ended by itself"
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                name, rest = (entry / "stat").read_text().rpartition(")")[::2]
            except OSError:
                continue  # it has ended meanwhile
            if name.endswith("(systemd") and int(rest.split()[1]) == self._nspawn.pid:
                return int(entry.name)
        return 0

    def _is_up(self) -> bool:
        return self.run("systemctl is-system-running", check=False) in ("running", "degraded")
