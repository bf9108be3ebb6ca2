"""The routes of the page: its files from a fixed table, the stream, commands, logging in."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from appliance.commands import MOST_BYTES, BadCommand
from appliance.oip.bodies import Bodies
from appliance.oip.shares import Shares
from appliance.page.clips import Clips
from appliance.page.guard import Guard, cookie_of
from appliance.page.orders import Order
from appliance.page.record import record
from appliance.page.session import COOKIE, SESSION_S, Door
from appliance.page.viewers import MOST_VIEWERS, Viewer, Viewers
from appliance.questions.question import Refused

TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
BEAT_S = 1.0
"""A stream with nothing to say says so this often, so that silence means a lost connection."""
ANSWER_WITHIN_S = 10.0
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What sources, pipelines and requests are called: no part of a topic but one level."""


class Behind(Protocol):
    """What the routes need of the page."""

    @property
    def viewers(self) -> Viewers: ...

    @property
    def door(self) -> Door: ...

    @property
    def root(self) -> str:
        """Of the device's topics."""

    @property
    def health(self) -> bytes: ...

    @property
    def recordings(self) -> Mapping[str, Path]:
        """Folder of the clips of each pipeline that keeps some."""

    def joined(self, viewer: Viewer) -> None: ...

    def left(self, viewer: Viewer) -> None: ...

    def order(self, order: Order) -> None: ...

    @property
    def ending(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    kind: str
    tag: str


def static_files() -> dict[str, _File]:
    """Everything that is ever served from disk, read once; by path."""
    found = {}
    for entry in sorted(files("appliance.page").joinpath("static").iterdir(), key=lambda entry: entry.name):
        ending = entry.name[entry.name.rfind(".") :]
        if ending in TYPES:
            content = entry.read_bytes()
            made = _File(content, TYPES[ending], f'"{hashlib.sha256(content).hexdigest()[:16]}"')
            found["/" if entry.name == "index.html" else f"/static/{entry.name}"] = made
    return found


def application(behind: Behind, *, loopback: bool, hosts: frozenset[str], secure: bool) -> Starlette:
    """The whole page. `secure`: it is reached over TLS."""
    routes = _Routes(behind, secure)
    clips = Clips(lambda: behind.recordings)
    served = [Route(path, routes.file(each)) for path, each in static_files().items()]
    return Starlette(
        routes=[
            *served,
            Route("/api/live", routes.live),
            Route("/api/health", routes.health),
            Route("/api/clips", clips.list),
            Route("/api/clip/{pipeline:str}/{file:str}", clips.file),
            Route("/api/{thing:str}/{name:str}/set", routes.set, methods=["POST"]),
            Route("/api/request/{name:str}", routes.request, methods=["POST"]),
            Route("/api/login", routes.login, methods=["POST"]),
            Route("/api/logout", routes.logout, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, loopback=loopback, hosts=hosts, door=behind.door)],
        exception_handlers={Refused: _refused, HTTPException: _no_such_path},
    )


class _Routes:
    def __init__(self, behind: Behind, secure: bool) -> None:
        self._behind = behind
        self._secure = secure
        self._bodies = Bodies(MOST_BYTES, Shares(32 * MOST_BYTES))

    def file(self, each: _File) -> Callable[[Request], Awaitable[Response]]:
        headers = {"content-type": each.kind, "etag": each.tag, "cache-control": "no-cache"}

        async def served(request: Request) -> Response:
            if request.headers.get("if-none-match") == each.tag:
                return Response(status_code=304, headers=headers)
            return Response(each.content, headers=headers)

        return served

    async def live(self, _request: Request) -> Response:
        """The stream of records, without end."""
        if len(self._behind.viewers) >= MOST_VIEWERS:
            return _error(503, f"{MOST_VIEWERS} are watching already")
        return StreamingResponse(self._stream(), media_type="application/octet-stream")

    async def _stream(self) -> AsyncIterator[bytes]:
        viewer = self._behind.viewers.add()
        self._behind.joined(viewer)
        try:
            while not self._behind.ending:
                taken = await viewer.next(BEAT_S)
                yield taken or record({"type": "beat"}).data
        finally:
            self._behind.left(viewer)

    async def health(self, _request: Request) -> Response:
        return Response(self._behind.health, media_type="application/json")

    async def set(self, request: Request) -> Response:
        thing, name = request.path_params["thing"], request.path_params["name"]
        return await self._ordered(request, thing, name, "set")

    async def request(self, request: Request) -> Response:
        return await self._ordered(request, "request", request.path_params["name"])

    async def _ordered(self, request: Request, *levels: str) -> Response:
        if not all(NAME.fullmatch(level) for level in levels):
            return _error(404, "nothing can be set or asked there")
        async with self._bodies.of(request, _address(request)) as body:
            order = Order("/".join((self._behind.root, *levels)), body)
            self._behind.order(order)
            try:
                data = await asyncio.wait_for(asyncio.wrap_future(order.done), ANSWER_WITHIN_S)
            except BadCommand as error:
                return _error(400, str(error))
            except asyncio.TimeoutError:
                return _error(504, f"the appliance did not get to it within {ANSWER_WITHIN_S:.0f} s")
        return JSONResponse({"data": data, "status": "ok"})

    async def login(self, request: Request) -> Response:
        address = _address(request)
        door = self._behind.door
        wait_s = door.wait_s(address)
        if wait_s > 0:
            refusal = _error(429, f"too many wrong passwords; try again in {wait_s:.0f} s")
            refusal.headers["retry-after"] = str(int(wait_s) + 1)
            return refusal
        async with self._bodies.of(request, _address(request)) as body:
            password = _password(body)
        if password is None:
            return _error(400, 'expected {"password": "…"}')
        if not door.opens(password, address):
            return _error(403, "this is not the password")
        response = JSONResponse({"status": "ok"})
        response.set_cookie(
            COOKIE, door.new_cookie(), max_age=SESSION_S, httponly=True, samesite="strict", secure=self._secure
        )
        return response

    async def logout(self, request: Request) -> Response:
        cookie = cookie_of(request.headers)
        if cookie is not None:
            self._behind.door.end(cookie)
        response = JSONResponse({"status": "ok"})
        response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=self._secure)
        return response


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _password(body: bytes) -> str | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    password = document.get("password") if isinstance(document, dict) else None
    return password if isinstance(password, str) else None


def _error(status: int, words: str) -> Response:
    # What is left of a body that was refused has not been read: the connection cannot be used again.
    headers = {"connection": "close"} if status in (413, 503, 504) else {}
    return JSONResponse({"error": words}, status, headers)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    status = {"too-large": 413, "malformed": 400, "expired": 504}.get(error.code, 503)
    return _error(status, error.words or error.code)


async def _no_such_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, f"{request.method}: {error.detail}")
