"""A TCP proxy that does what bad networks do, between a client under test and a real server.

with FaultyProxy(broker.port) as proxy:
    proxy.delay_s = 0.2; proxy.bytes_per_s = 50_000; proxy.slice_bytes = 3; proxy.stalled = True; proxy.refusing = True
    proxy.reset(); proxy.close_slowly(1.0); proxy.half_close(); proxy.forget(); proxy.cut_after_bytes = 10_000
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

BUFFER_BYTES = 256 << 10
"""What one direction of a slow line holds before it stops reading: a router's buffer."""

LINGER_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, zero seconds: close() sends RST instead of FIN."""


class FaultyProxy:
    """Opened with `with`; listens on `port`. Every attribute may be changed at any time, from any thread, and holds for
    open connections as well as for new ones."""

    def __init__(self, server_port: int) -> None:
        self.port = 0
        self.delay_s = 0.0
        """In each direction: a round trip takes twice as long."""
        self.bytes_per_s = 0.0
        """In each direction of each connection; 0 is unlimited."""
        self.slice_bytes = 0
        """Bytes arrive in pieces of at most this length; 0 leaves them whole."""
        self.refusing = False
        """New connections are reset."""
        self.cut_after_bytes: int | None = None
        """A connection that has carried so many bytes to the server is reset: in the middle of a packet."""
        self.swallows: Callable[[bytes], bool] | None = None
        """From the first bytes to the server for which this is true a connection carries nothing any more, as over a
        router that loses long packets."""
        self.connections = 0
        """Ever made."""
        self.to_server_bytes = 0
        """Over all connections."""
        self._server_port = server_port
        self._stalled = False
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty proxy")

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(5)

    # What a test does.

    @property
    def stalled(self) -> bool:
        """Nothing passes, nothing is said; connections are accepted and stay open."""
        return self._stalled

    @stalled.setter
    def stalled(self, stalled: bool) -> None:
        self._stalled = stalled
        self._do(self._each(_Pair.flush))

    def reset(self) -> None:
        """Every present connection gets a TCP reset, in both directions, whatever was on its way."""
        self._do(self._each(_Pair.reset))

    def close_slowly(self, after_s: float) -> None:
        """Every present connection carries nothing more and is closed after this time."""
        self._do(self._each(lambda pair: pair.close_after(after_s)))

    def half_close(self) -> None:
        """The client is told that no more will come, but what it sends still arrives."""
        self._do(self._each(_Pair.end_to_client))

    def forget(self) -> None:
        """Half-open: the server's end is gone, the client is never told, and what it sends is swallowed."""
        self._do(self._each(_Pair.forget))

    # In the loop's thread.

    async def _open(self) -> None:
        self._listener = await self._loop.create_server(lambda: _Near(self), "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._listener.close()
        await self._each(_Pair.reset)
        while self._pairs:
            await asyncio.sleep(0)

    async def _each(self, act: Callable[[_Pair], None]) -> None:
        for pair in list(self._pairs):
            act(pair)

    def begin(self, near: _Near) -> None:
        """A client has connected."""
        self.connections += 1
        pair = _Pair(self, near)
        self._pairs.add(pair)
        if self.refusing:
            pair.reset()
        else:
            pair.dial(self._loop.create_connection(lambda: _End(pair.down), "127.0.0.1", self._server_port))

    def end(self, pair: _Pair) -> None:
        self._pairs.discard(pair)


class _End(asyncio.Protocol):
    """One end of a connection: what it receives goes into a pipe to the other end."""

    def __init__(self, pipe: _Pipe) -> None:
        self.pipe = pipe

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.pipe.pair.attach(transport)

    def data_received(self, data: bytes) -> None:
        self.pipe.put(data)

    def eof_received(self) -> bool:
        self.pipe.put(b"")
        return True  # our own direction stays open

    def connection_lost(self, error: Exception | None) -> None:
        self.pipe.pair.lost(self)


class _Near(_End):
    """The client's end, accepted before there is a pair."""

    def __init__(self, proxy: FaultyProxy) -> None:
        self._proxy = proxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._proxy.begin(self)


class _Pipe:
    """One direction: a queue of chunks, each with the time before which it does not come out."""

    def __init__(self, pair: _Pair, proxy: FaultyProxy, *, to_server: bool) -> None:
        self.pair = pair
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self._proxy = proxy
        self._to_server = to_server
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[tuple[float, bytes]] = deque()
        self._waiting_bytes = 0
        self._busy_until_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def put(self, data: bytes) -> None:
        """Arrived from one end; empty at its end."""
        step = self._proxy.slice_bytes or len(data) or 1
        for start in range(0, max(1, len(data)), step):
            self._put_one(data[start : start + step])
        if self._waiting_bytes > BUFFER_BYTES and self.source is not None:
            self.source.pause_reading()
        self.flush()

    def _put_one(self, data: bytes) -> None:
        now_s = self._loop.time()
        if self._proxy.bytes_per_s:
            self._busy_until_s = max(self._busy_until_s, now_s) + len(data) / self._proxy.bytes_per_s
        self._chunks.append((max(now_s + self._proxy.delay_s, self._busy_until_s), data))
        self._waiting_bytes += len(data)

    def flush(self) -> None:
        """Let out what is due: one slice at a time when there are slices."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._chunks and self.sink is not None and not self._proxy.stalled:
            due_s, data = self._chunks[0]
            if due_s > self._loop.time():
                self._timer = self._loop.call_at(due_s, self.flush)
                return
            self._chunks.popleft()
            self._waiting_bytes -= len(data)
            if self._waiting_bytes <= BUFFER_BYTES and self.source is not None:
                self.source.resume_reading()
            self._let_out(data)
            if self._proxy.slice_bytes and self._chunks:
                self._timer = self._loop.call_later(0, self.flush)
                return

    def _let_out(self, data: bytes) -> None:
        if self.sink is None or self.sink.is_closing() or self.pair.harmed(data, to_server=self._to_server):
            return
        if data:
            self.sink.write(data)
        elif self.sink.can_write_eof():
            self.sink.write_eof()


class _Pair:
    """One client and its connection to the server."""

    def __init__(self, proxy: FaultyProxy, near: _Near) -> None:
        self.up = _Pipe(self, proxy, to_server=True)
        self.down = _Pipe(self, proxy, to_server=False)
        self._proxy = proxy
        self._near = near.transport
        self._far: asyncio.Transport | None = None
        self._dialling: asyncio.Task[None] | None = None
        self._sent_bytes = 0
        self._mute = False
        near.pipe = self.up
        self.up.source = self.down.sink = self._near
        self._near.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def dial(self, connecting: Coroutine[Any, Any, tuple[asyncio.Transport, asyncio.Protocol]]) -> None:
        """Reach the server; a client whose server is away is reset."""

        async def connect() -> None:
            try:
                await connecting
            except OSError:
                self.reset()

        self._dialling = asyncio.ensure_future(connect())

    def attach(self, transport: asyncio.BaseTransport) -> None:
        """The server's end is there."""
        assert isinstance(transport, asyncio.Transport)
        self._far = self.up.sink = self.down.source = transport
        if self._near.is_closing():
            transport.abort()
        self.up.flush()

    def flush(self) -> None:
        self.up.flush()
        self.down.flush()

    def harmed(self, data: bytes, *, to_server: bool) -> bool:
        """Whether these bytes do not arrive."""
        if not to_server:
            return self._mute
        self._sent_bytes += len(data)
        self._proxy.to_server_bytes += len(data)
        cut_at = self._proxy.cut_after_bytes
        if cut_at is not None and self._sent_bytes > cut_at:
            self.reset()
        elif self._proxy.swallows is not None and self._proxy.swallows(data):
            self._mute = True
        if self._mute and not data:
            self._near.close()
        return self._mute

    def reset(self) -> None:
        self._mute = True
        for transport in (self._near, self._far):
            if transport is not None and not transport.is_closing():
                transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                transport.abort()

    def close_after(self, after_s: float) -> None:
        self._mute = True
        asyncio.get_running_loop().call_later(after_s, self._near.close)

    def end_to_client(self) -> None:
        if not self._near.is_closing():
            self._near.write_eof()

    def forget(self) -> None:
        self._mute = True
        if self._far is not None:
            self._far.abort()

    def lost(self, end: _End) -> None:
        """One end is closed: so is the other, unless the client is to believe that all is well."""
        if end.pipe is self.up:
            if self._far is not None:
                self._far.abort()
            self._proxy.end(self)
        elif not self._mute:
            self._near.close()
