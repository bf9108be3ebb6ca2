"""systemd's end of the notification protocol: hears that a process is ready and makes progress."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from pathlib import Path
from types import TracebackType

WATCHDOG_S = 15.0
"""Of the unit; see systemd/appliance.service."""


class Supervisor:
    """Opened with `with`; `environment` is for the process that is watched."""

    def __init__(self, folder: Path, watchdog_s: float = WATCHDOG_S) -> None:
        self.watchdog_s = watchdog_s
        self.environment = {
            "NOTIFY_SOCKET": str(folder / "notify"),
            "WATCHDOG_USEC": str(int(watchdog_s * 1e6)),
        }
        self._ready_s: list[float] = []
        self._alive_s: list[float] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._hear, name="supervisor")

    def __enter__(self) -> Supervisor:
        self._socket.bind(self.environment["NOTIFY_SOCKET"])
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self.environment["NOTIFY_SOCKET"])
        self._thread.join()
        self._socket.close()
        Path(self.environment["NOTIFY_SOCKET"]).unlink()

    def _hear(self) -> None:
        while said := self._socket.recv(4096):
            lines = said.split(b"\n")
            now_s = time.monotonic()
            if b"READY=1" in lines:
                self._ready_s.append(now_s)
            if b"WATCHDOG=1" in lines:
                self._alive_s.append(now_s)

    def ready(self, since_s: float = 0.0) -> bool:
        """Whether READY=1 came after `since_s` (monotonic)."""
        return any(at_s >= since_s for at_s in self._ready_s)

    def ready_at_s(self, since_s: float = 0.0) -> float:
        """When the first READY=1 after `since_s` came. Ask `ready` before."""
        return next(at_s for at_s in self._ready_s if at_s >= since_s)

    @property
    def last_alive_s(self) -> float:
        """When it last said that it makes progress (monotonic); 0 before the first time."""
        return self._alive_s[-1] if self._alive_s else 0.0

    def silent_s(self) -> float:
        """For how long it has said nothing."""
        return time.monotonic() - self.last_alive_s

    def longest_silence_s(self, since_s: float) -> float:
        """Between signs of progress after `since_s`, and since the last: at `watchdog_s` it would have been ended."""
        times_s = [since_s, *(at_s for at_s in list(self._alive_s) if at_s >= since_s), time.monotonic()]
        return max(later - earlier for earlier, later in itertools.pairwise(times_s))
