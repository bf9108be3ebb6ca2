"""Connections to the REST server: so many at most, shared among callers, and none that only waits."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

from uvicorn.protocols.http.h11_impl import H11Protocol

from appliance.config_errors import ConfigError
from appliance.oip.callers import caller_at
from appliance.oip.shares import Shares

MOST_CONNECTIONS = 128
IDLE_S = 60.0
"""From the connection, or from an answer, until the head of the next request must be complete."""
READS_WITHIN_S = 30.0
"""Who takes nothing of an answer for so long does not get the rest."""
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Connection(H11Protocol):
    """Uvicorn's own waits for a request's head as long as a byte comes now and then."""

    shares: Shares
    """Of the connections of one server: see `connections`."""
    _caller: str | None = None
    """Whose share it is part of."""
    _patience: asyncio.TimerHandle | None = None
    """Until the head of a request must be here."""
    _reading: asyncio.TimerHandle | None = None
    """Until some of the answer must have been taken."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        caller = caller_at(self.client[0] if self.client else "")
        if not self.shares.take(caller):
            transport.write(_FULL)
            transport.close()
            return
        self._caller = caller
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._wait_no_more()

    def on_response_complete(self) -> None:
        self._wait_no_more()
        if not self.transport.is_closing():
            self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_more()
        self._is_read()
        if self._caller is not None:
            self.shares.give_back(self._caller)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reading = self.loop.call_later(READS_WITHIN_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._is_read()
        super().resume_writing()

    def _is_read(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _wait(self) -> None:
        self._patience = self.loop.call_later(IDLE_S, self._end)

    def _end(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # closing would wait until the rest has been read
        else:
            self.transport.close()

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def connections() -> type[Connection]:
    """Those of one server."""

    class OfOneServer(Connection):
        shares = Shares(MOST_CONNECTIONS)

    return OfOneServer


def listening(host: str, port: int, key: str) -> socket.socket:
    """A socket that listens there; raises ConfigError that names `key` of the configuration, such as `[oip]: http`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY on what is accepted: without it, a body waits for the
    # acknowledgement of its head, up to 40 ms.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(MOST_CONNECTIONS)
    except OSError as error:
        made.close()
        raise ConfigError(
            f'{key} = "{host}:{port}": cannot listen there: {error.strerror}; give another address or port'
        ) from error
    return made


def check_pair(table: str, certificate: Path, key: Path) -> None:
    """Raises ConfigError when these two cannot be what a server shows. `table`: of the configuration, `[oip]`."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{table}: {certificate} and {key}: no certificate and its key: {error}") from error
