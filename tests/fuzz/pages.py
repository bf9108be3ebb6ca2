"""The live page: raw bytes on one of its connections, with and without a password."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from appliance import commands
from appliance.commands import BadCommand
from appliance.page.http import application
from appliance.page.orders import Order
from appliance.page.session import Door
from appliance.page.viewers import Viewer, Viewers
from tests.fuzz.target import Target
from tests.fuzz.web import Web, requests

PASSWORD, TOKEN = "a long password", "a long token"


class _Appliance:
    """What is behind the routes: it reads every command as the main thread does, and is about to end, so that a stream
    does so too."""

    root = "appliance/box"
    health = b'{"type": "health"}'
    recordings: Mapping[str, Path] = {"dock": Path("/nonexistent")}
    ending = True

    def __init__(self) -> None:
        self.viewers = Viewers()
        self.door = Door(PASSWORD, TOKEN)

    def joined(self, viewer: Viewer) -> None: ...

    def left(self, viewer: Viewer) -> None:
        self.viewers.remove(viewer)

    def order(self, order: Order) -> None:
        try:
            order.done.set_result(repr(commands.read(order.topic, order.payload, self.root)))
        except BadCommand as error:
            order.done.set_exception(error)


@functools.cache
def _page() -> Web:
    return Web(application(_Appliance(), loopback=False, hosts=frozenset({"box"}), secure=False))


def page(data: bytes) -> None:
    _page().give(data)


def asked() -> Iterator[bytes]:
    bearer = f"\nAuthorization: Bearer {TOKEN}"
    paths = ("/", "/static/page.js", "/api/live", "/api/health", "/api/clips", "/api/clip/dock/2026-11-21.mp4")
    same: Any = "\nOrigin: http://box\nSec-Fetch-Site: same-origin\nCookie: appliance_page=1.2.3; a=b"
    yield from requests(
        *((f"GET {path}{bearer}", b"") for path in paths),
        (f"POST /api/pipeline/shapes/set{bearer}", b'{"threshold": 0.5}'),
        (f"POST /api/request/status{bearer}{same}", b"{}"),
        (f"POST /api/login{same}", b'{"password": "wrong"}'),
        (f'GET /api/clip/dock/a.mp4{bearer}\nRange: bytes=0-9\nIf-None-Match: "x"', b""),
        ("POST /api/logout\nCookie: appliance_page=1", b""),
        (f"GET / {bearer}\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Key: eA==", b""),
        host="box",
    )


TARGETS = {"page": Target(page, (), asked, most_cpu_s=1.0)}
