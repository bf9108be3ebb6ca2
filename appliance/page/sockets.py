"""Connections to the page: so many at most; one that only waits gives way to a newcomer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import weakref
from typing import Any

from appliance.config_errors import ConfigError
from appliance.oip.shares import Shares
from appliance.oip.sockets import Connection

MOST_OPEN = 96
CLOSING = 8 * MOST_OPEN
"""In a flood those that gave way are still about to be closed; the listener has decided who stays. One address may hold
half of them."""
SEND_BUFFER_BYTES = 256 << 10
"""What a slow viewer may have on its way: with more it would see the past."""


class Listener(socket.socket):
    """Accepts for asyncio. Counts connections from the first packet on, also those that never finish a TLS handshake,
    and closes the one that has been waiting longest when a newcomer finds no room."""

    def __init__(self, host: str, port: int) -> None:
        """Raises ConfigError."""
        # With the protocol named, asyncio sets TCP_NODELAY on what is accepted.
        super().__init__(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._waiting: weakref.WeakValueDictionary[Any, socket.socket] = weakref.WeakValueDictionary()
        """By the other side's address, longest first: who has asked nothing, or has got its answer. Nobody tells of one
        that gave up within the TLS handshake."""
        try:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # accepted ones inherit it
            self.bind((host, port))
            self.listen(MOST_OPEN)
        except OSError as error:
            self.close()
            raise ConfigError(
                f'[page]: listen = "{host}:{port}": cannot listen there: {error.strerror}; give another address or port'
            ) from error

    def accept(self) -> tuple[socket.socket, Any]:
        accepted, address = super().accept()
        if sum(each.fileno() >= 0 for each in self._open) >= MOST_OPEN and not self._make_room():
            accepted.close()
            raise ConnectionAbortedError("no room for another connection")  # asyncio goes on with the next
        self._open.add(accepted)
        self._waiting[address] = accepted
        return accepted, address

    def busy(self, address: Any) -> None:
        """This one has asked something."""
        self._waiting.pop(address, None)

    def idle(self, address: Any, accepted: socket.socket) -> None:
        """This one has got its answer and may ask again."""
        self._waiting[address] = accepted

    def gone(self, address: Any) -> None:
        self._waiting.pop(address, None)

    @property
    def waiting(self) -> int:
        """Connections that would give way to a newcomer."""
        return len(self._waiting)

    def _make_room(self) -> bool:
        for address, longest in list(self._waiting.items()):
            del self._waiting[address]
            if longest.fileno() >= 0:
                with contextlib.suppress(OSError):
                    longest.shutdown(socket.SHUT_RDWR)  # asyncio hears of it and closes it
                self._open.discard(longest)
                return True
        return False


def connection_of(listener: Listener) -> type[Connection]:
    """The class whose objects uvicorn makes for each connection of this listener."""

    class PageConnection(Connection):
        shares = Shares(CLOSING)
        _address: Any = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
            self._address = transport.get_extra_info("peername")
            super().connection_made(transport)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                listener.busy(self._address)

        def on_response_complete(self) -> None:
            super().on_response_complete()
            asyncio_socket = self.transport.get_extra_info("socket")
            accepted = getattr(asyncio_socket, "_sock", None)
            if accepted is not None and (self.cycle is None or self.cycle.response_complete):
                listener.idle(self._address, accepted)

        def connection_lost(self, exc: Exception | None) -> None:
            listener.gone(self._address)
            super().connection_lost(exc)

    return PageConnection
