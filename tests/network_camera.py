"""The test's hand on a real RTSP camera: start it, kill it, freeze it, bring it back at the same address."""

from __future__ import annotations

import contextlib
import functools
import os
import selectors
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pytest

from tests.conftest import free_port

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).parent / "rtsp_server.py"

_CHECK = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert Gst.ElementFactory.find("x264enc") and Gst.ElementFactory.find("rtph264pay")
"""


@functools.cache
def _available() -> bool:
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", _CHECK], capture_output=True, check=False).returncode == 0


class NetworkCamera:
    """tests/rtsp_server.py in a process of its own, on a free loopback port that it keeps over restarts.

    Skips the test where the system has no GStreamer RTSP server.
    """

    def __init__(self, *arguments: str, credentials: str = "") -> None:
        if not _available():
            pytest.skip(
                "no RTSP server: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 "
                "gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly"
            )
        self.port = free_port()
        self.uri = f"rtsp://{credentials and f'{credentials}@'}127.0.0.1:{self.port}/cam"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> NetworkCamera:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Returns once it listens."""
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(SERVER), "--port", str(self.port), *self._arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(self._process.stdout, selectors.EVENT_READ)
            assert waiting.select(timeout=15), "the RTSP server did not start within 15 s"
        assert self._process.stdout.readline().startswith(b"serving"), "the RTSP server did not start"

    def freeze(self) -> None:
        """It stays connected but sends nothing any more."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


class Relay:
    """A TCP relay to a camera on a loopback port: holds all up for a while without losing a byte, or spoils it."""

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._flowing = threading.Event()
        self._flowing.set()
        self._spoiling = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        self._flowing.clear()
        yield
        self._flowing.set()

    @contextlib.contextmanager
    def spoiled(self) -> Iterator[None]:
        """What the camera sends becomes noise of the same length."""
        self._spoiling.set()
        yield
        self._spoiling.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to_port))
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, sink, source is far), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, of_camera: bool) -> None:
        with contextlib.suppress(OSError):  # closed
            while data := source.recv(65536):
                self._flowing.wait()
                sink.sendall(os.urandom(len(data)) if of_camera and self._spoiling.is_set() else data)
            sink.shutdown(socket.SHUT_WR)
