"""A TCP proxy that does what bad networks do, between a client under test and a real server.

with FaultyProxy(broker.port) as proxy:
    proxy.delay_s = 0.2; proxy.bytes_per_s = 50_000; proxy.slice_bytes = 3; proxy.stalled = True
    proxy.reset(); proxy.close_slowly(1.0); proxy.cut_after_bytes = 10_000; proxy.refusing = True
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from types import TracebackType

_CHUNK = 16 * 1024
_MOST_WAITING = 256 * 1024
_TICK_S = 0.005


class _Direction:
    """Bytes on their way from one socket to the other, each with the moment it may arrive."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.waiting: deque[tuple[float, bytes]] = deque()
        self.waiting_bytes = 0
        self.ended = False
        self.allowance = 0.0
        self.then_s = time.monotonic()


class _Pair:
    """One client and its connection to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.directions = (_Direction(client, server), _Direction(server, client))
        self.close_at_s: float | None = None

    def abort(self) -> None:
        """Both sides get a reset."""
        for side in (self.client, self.server):
            side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            side.close()


class FaultyProxy:
    """Opened with `with`; listens on `port`. Every attribute may be changed at any time, from any thread."""

    def __init__(self, server_port: int) -> None:
        self.delay_s = 0.0
        """In each direction."""
        self.bytes_per_s = 0.0
        """In each direction of each connection; 0 is unlimited."""
        self.slice_bytes = 0
        """Bytes arrive in pieces of at most this length; 0 leaves them whole."""
        self.stalled = False
        """Half open: nothing passes, nothing is said."""
        self.refusing = False
        """New connections are reset."""
        self.cut_after_bytes: int | None = None
        """Reset the connection that carries this many bytes more; once."""
        self.connections = 0
        self.passed_bytes = 0
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[_Pair] = []
        self._orders: deque[tuple[str, float]] = deque()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faulty proxy", daemon=True)

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(5)
        for pair in self._pairs:
            pair.abort()
        self._listener.close()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Every present connection gets a TCP reset, in both directions, whatever was on its way."""
        self._orders.append(("reset", 0.0))

    def close_slowly(self, after_s: float) -> None:
        """Every present connection carries nothing more and is closed after this time."""
        self._orders.append(("close", after_s))

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._obey()
            self._accept()
            moved = [self._move(pair) for pair in list(self._pairs)]
            if not any(moved):
                self._wait()

    def _wait(self) -> None:
        """Until a socket has something, or a little while."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            for pair in self._pairs:
                for way in pair.directions:
                    if not (way.ended or self.stalled or pair.close_at_s or way.waiting_bytes > _MOST_WAITING):
                        selector.register(way.source, selectors.EVENT_READ)
            selector.select(_TICK_S)

    def _obey(self) -> None:
        while self._orders:
            order, after_s = self._orders.popleft()
            for pair in list(self._pairs):
                if order == "reset":
                    self._abort(pair)
                else:
                    pair.close_at_s = time.monotonic() + after_s

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except BlockingIOError:
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._server_port), timeout=1)
        except OSError:
            server = None
        if self.refusing or server is None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            return
        for side in (client, server):
            side.setblocking(False)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs.append(_Pair(client, server))
        self.connections += 1

    def _abort(self, pair: _Pair) -> None:
        pair.abort()
        self._pairs.remove(pair)

    def _move(self, pair: _Pair) -> bool:
        """Carry what may be carried; whether there was anything."""
        now_s = time.monotonic()
        if pair.close_at_s is not None:
            if now_s > pair.close_at_s:
                pair.client.close()
                pair.server.close()
                self._pairs.remove(pair)
            return False
        if self.stalled:
            return False
        try:
            moved = [self._read(way, now_s) | self._write(way, now_s) for way in pair.directions]
        except OSError:
            self._abort(pair)
            return True
        if self.cut_after_bytes is not None and self.cut_after_bytes <= 0:
            self.cut_after_bytes = None
            self._abort(pair)
        elif all(way.ended and not way.waiting for way in pair.directions):
            pair.client.close()
            pair.server.close()
            self._pairs.remove(pair)
        return any(moved)

    def _read(self, way: _Direction, now_s: float) -> bool:
        if way.ended or way.waiting_bytes > _MOST_WAITING:
            return False
        try:
            data = way.source.recv(_CHUNK)
        except BlockingIOError:
            return False
        if not data:
            way.ended = True
            way.waiting.append((now_s + self.delay_s, b""))
            return True
        step = self.slice_bytes or len(data)
        for start in range(0, len(data), step):
            way.waiting.append((now_s + self.delay_s, data[start : start + step]))
        way.waiting_bytes += len(data)
        return True

    def _write(self, way: _Direction, now_s: float) -> bool:
        moved = False
        if self.bytes_per_s:
            way.allowance = min(way.allowance + self.bytes_per_s * (now_s - way.then_s), self.bytes_per_s / 10)
        way.then_s = now_s
        while way.waiting and way.waiting[0][0] <= now_s and (not self.bytes_per_s or way.allowance > 0):
            due_s, data = way.waiting.popleft()
            if not data:
                way.target.shutdown(socket.SHUT_WR)
                continue
            try:
                sent = way.target.send(data)
            except BlockingIOError:
                way.waiting.appendleft((due_s, data))
                break
            if sent < len(data):
                way.waiting.appendleft((due_s, data[sent:]))
            way.waiting_bytes -= sent
            way.allowance -= sent
            self.passed_bytes += sent
            if self.cut_after_bytes is not None:
                self.cut_after_bytes -= sent
            moved = True
            if self.slice_bytes:
                break
        return moved and not self.bytes_per_s
