"""Models from a registry: its metadata as a device reads it, and a device's requests as the registry reads them."""

from __future__ import annotations

import functools
import json
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from appliance.registry.http import HttpServer
from appliance.registry.shelf import Missing, Shelf
from appliance.sync.carrier import CarrierError, NoSuchFile, Piece
from appliance.sync.clock_floor import ClockFloor
from appliance.sync.published import CHUNK_BYTES, BadCustom, read_custom
from appliance.sync.trust import Distrust, look
from tests.fuzz.kept import KEPT
from tests.fuzz.messages import head_and_rest
from tests.fuzz.target import Target
from tests.fuzz.web import requests
from tests.registries import Owner, shipped

ROLES = ("timestamp.json", "1.snapshot.json", "2.snapshot.json", "2.root.json", "1.targets.json", "2.targets.json")


@functools.cache
def _owner() -> Owner:
    """Of a registry with one model; its folder ends with the process."""
    folder = KEPT.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-registry-", dir="/dev/shm"))
    owner = Owner(Path(folder))
    owner.publish(shipped("tones"))
    return owner


class _Given:
    """A carrier that brings the registry's files, one of them replaced."""

    def __init__(self, replaced: str, content: bytes) -> None:
        self._replaced, self._content = replaced, content
        self._shelf = Shelf(_owner().folder)

    def read(self, path: str, offset: int, most: int) -> Piece:
        if path.endswith(self._replaced):
            return Piece(self._content[offset : offset + most], len(self._content))
        try:
            return self._shelf.read(path, offset, most)
        except Missing as error:
            raise NoSuchFile(f"the registry has no {path}") from error

    def __enter__(self) -> _Given:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Marks:
    """Numbers that only rise, in memory."""

    def __init__(self) -> None:
        self._marks: dict[str, int] = {}

    def mark(self, name: str) -> int:
        return self._marks.get(name, 0)

    def raise_mark(self, name: str, value: int) -> int:
        self._marks[name] = max(value, self.mark(name))
        return self._marks[name]


def metadata(data: bytes) -> None:
    """The first line names the file of the registry that is replaced by the rest."""
    name, content = head_and_rest(data)
    name = name if name in ROLES else ROLES[0]
    marks = _Marks()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm"))
    try:
        catalogue = look(
            folder, _owner().anchor, _Given(name, content), marks, ClockFloor(marks, time.time, lambda: True)
        )
        catalogue.find("tones/1/bundle.json")
    finally:
        shutil.rmtree(folder)


def metadatas() -> Iterator[bytes]:
    for name in ROLES:
        for path in sorted((_owner().folder / "metadata").glob(name)):
            document = json.loads(path.read_bytes())
            yield name.encode() + b"\n" + path.read_bytes()
            yield name.encode() + b"\n" + json.dumps(document, separators=(",", ":")).encode()


def custom(data: bytes) -> None:
    """What is signed beside a file, once JSON has become of it."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    read_custom("people/3/model.onnx", CHUNK_BYTES + 1, document)


def customs() -> Iterator[bytes]:
    yield json.dumps({"chunks": ["0" * 64, "f" * 64], "serial": 3}).encode()


# -- the registry's own server ----------------------------------------------------------------------------------------


class _Server(HttpServer):
    """Exceptions of its handlers are ours to see."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        raise


@functools.cache
def _server() -> _Server:
    server = _Server(Shelf(_owner().folder), "127.0.0.1", 0)
    KEPT.callback(server.server_close)
    return server


def request(data: bytes) -> None:
    """Raw bytes on a connection, which the other side then closes."""
    ours, theirs = socket.socketpair()
    with ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        ours.settimeout(5)
        ours.sendall(data)
        ours.shutdown(socket.SHUT_WR)
        server = _server()
        server._places.acquire()
        server.process_request_thread(theirs, ("127.0.0.1", 5000))


def asked() -> Iterator[bytes]:
    yield from requests(
        ("GET /metadata/timestamp.json", b""),
        ("HEAD /metadata/1.root.json\nRange: bytes=5-", b""),
        ("GET /metadata/1.root.json?a=b#c\nRange: bytes=0-99", b""),
        ("GET /targets/tones/1/../../x%00%2e%2e/y", b""),
        ("POST /metadata/timestamp.json", b"{}"),
    )


TARGETS = {
    "tuf": Target(metadata, (Distrust, CarrierError), metadatas, most_cpu_s=1.0, inputs=40),
    "tuf-custom": Target(custom, (BadCustom,), customs),
    "registry-http": Target(request, (BrokenPipeError, ConnectionResetError), asked),
}
