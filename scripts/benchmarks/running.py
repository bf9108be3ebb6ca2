"""A real `appliance run` in a process of its own, with a real broker, to be watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from engines.bundle import Bundle
from scripts.benchmarks.material import Unavailable

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""What NumPy's linear algebra reads when it is imported. Loops that are compared have one thread each; the appliance in
a process of its own is left as it is."""

RELOADS_WITHIN_S = 20.0


def cpu_s_of(pid: int) -> float:
    """CPU time that a process has used, all threads, also those that have ended. Linux numbers a process's clock so:
    see clock_getcpuclockid(3)."""
    return time.clock_gettime(~pid << 3 | 2)


def cpu_s_by_thread(pid: int) -> dict[str, float]:
    """CPU time of every thread that lives now, by its number; to 10 ms."""
    found = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        fields = thread.joinpath("stat").read_text().rpartition(")")[2].split()
        found[thread.name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def memory_mb_of(pid: int) -> float:
    """Resident memory now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise Unavailable(f"process {pid} has ended")


def configuration(
    broker: str,
    bundle: Bundle,
    uris: Sequence[str],
    *,
    threads: int,
    camera: str = "loop = true",
    pipeline: str = "",
) -> str:
    """TOML with a camera for each address and a pipeline for each camera, all with the same model.

    `camera` and `pipeline` are further lines of each of those tables.
    """
    tables = [f"[mqtt]\nbroker = {broker!r}\n"]
    for number, uri in enumerate(uris):
        tables.append(f"[[camera]]\nname = 'c{number}'\nuri = {uri!r}\n{camera}\n")
        tables.append(
            f"[[pipeline]]\nname = 'p{number}'\nsource = 'c{number}'\nmodel = {str(bundle.folder.resolve())!r}\n"
            f"{pipeline}\n"
        )
    return f"threads = {threads}\n" + "".join(tables)


class Running:
    """Started and ended with `with`."""

    def __init__(self, folder: Path, config: str) -> None:
        """`config`: TOML that begins inside the table [device]."""
        self._config = folder / "appliance.toml"
        self._log = folder / "appliance.log"
        self._folder = folder
        self._write(config)
        self._process: subprocess.Popen[bytes] | None = None
        self.started_ns = 0
        """When the process was started, Unix time."""

    def __enter__(self) -> Running:
        with self._log.open("ab") as log:
            self.started_ns = time.time_ns()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "appliance", "run", "--config", str(self._config)],
                stdout=log,
                stderr=log,
                env={key: value for key, value in os.environ.items() if key not in ONE_THREAD},
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def reload(self, config: str) -> None:
        """Go on with another configuration; once it has begun to. Only after the first result: it listens by then."""
        self._write(config)
        before = self._reloads()
        os.kill(self.pid, signal.SIGHUP)
        deadline_s = time.monotonic() + RELOADS_WITHIN_S
        while self._reloads() == before:
            self.check()
            if time.monotonic() > deadline_s:
                raise Unavailable(f"not loaded again within {RELOADS_WITHIN_S:g} s")
            time.sleep(0.05)

    def _reloads(self) -> int:
        return self._log.read_text(errors="replace").count("reloaded")

    def _write(self, config: str) -> None:
        text = f"[device]\nname = 'bench'\nstate_dir = {str(self._folder)!r}\n{config}"
        self._config.write_text(text, encoding="utf-8")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def check(self) -> None:
        """Raises Unavailable with the end of its log when it has ended."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise Unavailable(f"the appliance ended: {self._log.read_text(errors='replace')[-500:].strip()}")
