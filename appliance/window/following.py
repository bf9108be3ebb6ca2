"""Follows a live page on this machine: its stream of records, read without a thread and without waiting for long."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeAlias

from appliance.page.record import LENGTHS

Told: TypeAlias = tuple[dict[str, Any], bytes]
"""Head and body of a record."""

CONNECT_WITHIN_S = 2.0
AGAIN_AFTER_S = 0.5
SILENT_S = 5.0
"""The page says something every second."""
READ_BYTES = 1 << 18


class Following:
    """Opened with `with`. A connection that is lost, or not there yet, is made again by itself."""

    def __init__(self, host: str, port: int) -> None:
        self.connected = False
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._bytes = bytearray()
        self._begun = False
        """Whether the head of the answer has been read."""
        self._again_s = 0.0
        self._heard_s = 0.0

    def __enter__(self) -> Following:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def records(self, within_s: float) -> list[Told]:
        """What has come, after waiting at most so long (longer only while a connection is made)."""
        now_s = time.monotonic()
        if self._socket is None and (now_s < self._again_s or not self._connect()):
            time.sleep(within_s)
            return []
        assert self._socket is not None
        readable, _, _ = select.select([self._socket], [], [], within_s)
        if not readable:
            if time.monotonic() - self._heard_s > SILENT_S:
                self._close()
            return []
        try:
            piece = self._socket.recv(READ_BYTES)
        except OSError:
            piece = b""
        if not piece:
            self._close()
            return []
        self._heard_s = time.monotonic()
        self._bytes += piece
        return list(self._parted())

    def _connect(self) -> bool:
        self._again_s = time.monotonic() + AGAIN_AFTER_S
        try:
            opened = socket.create_connection(self._address, CONNECT_WITHIN_S)
        except OSError:
            return False
        # HTTP/1.0: the answer is the stream itself, not cut into chunks.
        opened.sendall(f"GET /api/live HTTP/1.0\r\nHost: {self._address[0]}:{self._address[1]}\r\n\r\n".encode())
        self._socket, self._begun, self._heard_s = opened, False, time.monotonic()
        self._bytes.clear()
        return True

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self.connected = None, False
        self._again_s = time.monotonic() + AGAIN_AFTER_S

    def _parted(self) -> Iterator[Told]:
        if not self._begun:
            end = self._bytes.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._bytes.startswith((b"HTTP/1.1 200 ", b"HTTP/1.0 200 ")):
                self._close()
                return
            del self._bytes[: end + 4]
            self._begun = self.connected = True
        while len(self._bytes) >= LENGTHS.size:
            head, body = LENGTHS.unpack_from(self._bytes)
            whole = LENGTHS.size + head + body
            if len(self._bytes) < whole:
                return
            document = json.loads(self._bytes[LENGTHS.size : LENGTHS.size + head])
            content = bytes(self._bytes[LENGTHS.size + head : whole])
            del self._bytes[:whole]
            yield document, content
