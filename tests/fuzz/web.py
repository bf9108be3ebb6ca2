"""What comes over HTTP, given to the connections that the servers really use: only the network is left out."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections.abc import Iterator
from typing import Any

from appliance.oip.sockets import Connection
from appliance.oip.web_server import WebServer
from tests.fuzz.kept import KEPT
from tests.fuzz.target import Broken

_TURNS = 20_000
"""Of the event loop, ten seconds: what a request asks for is done on threads, which may have to wait for a core."""
_UNFINISHED = 40
"""Turns that are granted to a request of which not all has come."""
_LOG = "uvicorn.error"


class _Wire(asyncio.Transport):
    """Takes what is written; a peer of its own each time, so that nobody is slowed down for what others asked."""

    peers = itertools.count()

    def __init__(self) -> None:
        number = next(self.peers) % (1 << 24)
        peer = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 5000
        super().__init__({"peername": peer, "sockname": ("127.0.0.1", 80)})
        self.written = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class _Complaints(logging.Handler):
    """Exceptions that an application let through: uvicorn logs them, and answers 500."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last: logging.LogRecord | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record


class Web:
    """An application behind a server that listens nowhere. Belongs to the thread that made it."""

    def __init__(self, application: Any, connection: type[Connection] | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        KEPT.callback(self._loop.close)
        self._server = WebServer(application, threading.Event(), None, 1, connection)
        self._server.config.load()
        self._complaints = _Complaints()
        logger = logging.getLogger(_LOG)
        logger.handlers[:] = [self._complaints]
        logger.propagate = False

    def give(self, data: bytes) -> bytes:
        """What is answered to these bytes on a fresh connection; raises Broken for what an application let through."""
        return self._loop.run_until_complete(self._give(data)) if data else b""

    async def _give(self, data: bytes) -> bytes:
        self._complaints.last = None
        kind: Any = self._server.config.http_protocol_class
        protocol = kind(config=self._server.config, server_state=self._server.server_state, app_state={})
        wire = _Wire()
        protocol.connection_made(wire)
        try:
            protocol.data_received(data)
            await self._answered(protocol, wire)
        finally:
            protocol.connection_lost(None)
            while protocol.tasks:
                await asyncio.sleep(0.0002)
        if self._complaints.last is not None:
            raise Broken(f"{self._complaints.last.getMessage()}: {wire.written[:200]!r}") from (
                self._complaints.last.exc_info[1] if self._complaints.last.exc_info else None
            )
        return bytes(wire.written)

    async def _answered(self, protocol: Any, wire: _Wire) -> None:
        """Until every whole request has its answer: what is cut off has none."""
        for turn in range(_TURNS):
            cycle = protocol.cycle
            if wire.closed or cycle is None or cycle.response_complete or (cycle.more_body and turn > _UNFINISHED):
                return
            await asyncio.sleep(0 if turn < _UNFINISHED else 0.0005)  # some work is done on threads
        raise Broken(f"no answer to a whole request: {wire.written[:200]!r}")


def requests(*lines: tuple[str, bytes], host: str = "localhost") -> Iterator[bytes]:
    """Whole requests: a line with a method and a path, further headers behind it; and a body."""
    for head, body in lines:
        first, *more = head.split("\n")
        length = [f"Content-Length: {len(body)}"] if body else []
        yield "\r\n".join([f"{first} HTTP/1.1", f"Host: {host}", *more, *length, "", ""]).encode() + body
