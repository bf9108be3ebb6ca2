"""The protocol over REST, with binary tensors: the routes of a Starlette application."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from appliance.oip.attention import Attention, Attentive, Place, place_of
from appliance.oip.bodies import Bodies, packed
from appliance.oip.desk import Desk
from appliance.oip.guard import Guard
from appliance.oip.inquiry import Inquiry
from appliance.oip.rest_infer import HEADER_LENGTH, Wish, answered, asked, json_bytes
from appliance.oip.shares import Shares
from appliance.questions.question import Code, Refused
from appliance.questions.tensors import BadTensor, Limits, TooLarge, parse_object

STATUS: Mapping[Code, int] = {
    "unknown-model": 404,
    "malformed": 400,
    "too-large": 413,
    "busy": 503,
    "expired": 504,
    "failed": 500,
    "draining": 503,
}

THREADS = 16
"""Requests that are read or written at once, one of each caller; others wait for their turn."""
JSON_BYTES = 4 << 20
"""Tensors that are written out as numbers take some sixteen times as much memory while they are read."""
LONG_JSON_BYTES = 256 << 10
"""Longer JSON is read by one thread at a time: nothing else runs in this process while Python reads it."""
SMALL_BYTES = 64 << 10
"""Bodies of everything but an inference."""
TOGETHER = 4
"""Bodies of the largest size that all callers may hold at once."""

Handler = Callable[[Request], Awaitable[Response]]


def application(
    desk: Desk,
    most_bytes: int,
    attention: Attention,
    *,
    loopback: bool,
    token: str | None,
    metrics: Callable[[], bytes] | None = None,
) -> Starlette:
    """The whole of REST. `most_bytes`: of one question, unpacked. `metrics`: what `/metrics` tells, if wanted."""
    rest = _Rest(desk, most_bytes)
    model = "/v2/models/{model}"
    versioned = model + "/versions/{version}"
    routes = [
        Route("/v2", rest.server),
        Route("/v2/health/live", rest.live),
        Route("/v2/health/ready", rest.ready),
        Route("/v2/models/stats", rest.statistics),
        Route("/v2/repository/index", rest.index, methods=["POST"]),
        Route("/v2/repository/models/{model}/load", rest.load, methods=["POST"]),
        Route("/v2/repository/models/{model}/unload", rest.unload, methods=["POST"]),
    ]
    for path in (model, versioned):
        routes += [
            Route(path, rest.model),
            Route(f"{path}/ready", rest.model_ready),
            Route(f"{path}/config", rest.config),
            Route(f"{path}/stats", rest.statistics),
            Route(f"{path}/infer", rest.infer, methods=["POST"]),
        ]
    if metrics is not None:
        routes.append(Route("/metrics", _metrics(metrics)))
    return Starlette(
        routes=routes,
        middleware=[Middleware(Attentive, attention=attention), Middleware(Guard, loopback=loopback, token=token)],
        exception_handlers={Refused: _refused, BadTensor: _bad_tensor, HTTPException: _no_such_path},
    )


class _Rest:
    def __init__(self, desk: Desk, most_bytes: int) -> None:
        self._desk = desk
        self._limits = Limits(body_bytes=most_bytes, header_bytes=JSON_BYTES)
        shares = Shares(TOGETHER * most_bytes)
        self._bodies = Bodies(most_bytes, shares)
        self._small = Bodies(SMALL_BYTES, shares)
        self._turns: dict[int, CapacityLimiter] = {}
        """By how many at once; made in the event loop, which older versions of anyio insist on."""

    async def live(self, _request: Request) -> Response:
        return Response()

    async def ready(self, _request: Request) -> Response:
        return Response(status_code=200 if self._desk.ready() else 503)

    async def server(self, _request: Request) -> Response:
        return JSONResponse(self._desk.server())

    async def model_ready(self, request: Request) -> Response:
        return Response(status_code=200 if self._desk.model_ready(*_named(request)) else 503)

    async def model(self, request: Request) -> Response:
        return JSONResponse(await self._on_thread(place_of(request.scope), self._desk.model, *_named(request)))

    async def config(self, request: Request) -> Response:
        return JSONResponse(await self._on_thread(place_of(request.scope), self._desk.config, *_named(request)))

    async def statistics(self, request: Request) -> Response:
        return JSONResponse(self._desk.statistics(*_named(request)))

    async def index(self, request: Request) -> Response:
        async with self._small.of(request, place_of(request.scope).caller) as body:
            only_ready = bool(parse_object(body).get("ready", False)) if body else False
        return JSONResponse(self._desk.index(only_ready))

    async def load(self, request: Request) -> Response:
        name = await self._plain(request)
        await self._on_thread(place_of(request.scope), self._desk.load, name)
        return Response()

    async def unload(self, request: Request) -> Response:
        name = await self._plain(request)
        await self._on_thread(place_of(request.scope), self._desk.unload, name)
        return Response()

    async def _plain(self, request: Request) -> str:
        """The model that is to be loaded or unloaded; a configuration or files of the caller's are not taken."""
        async with self._small.of(request, place_of(request.scope).caller) as body:
            parameters = parse_object(body).get("parameters") if body else None
        if isinstance(parameters, dict) and parameters.keys() - {"unload_dependents"}:
            raise Refused("malformed", "a model is loaded as it is here; leave the parameters out")
        return str(request.path_params["model"])

    async def infer(self, request: Request) -> Response:
        place = place_of(request.scope)
        async with self._bodies.of(request, place.caller) as body:
            place.received_bytes = len(body)
            with contextlib.ExitStack() as held:
                wish, inquiry = await self._on_thread(
                    place, self._begin, request, body, held, at_once=_at_once(request, body)
                )
                async with place.away():
                    await inquiry.waited()
                response: Response = await self._on_thread(place, self._written, request, wish, inquiry)
                return response

    def _begin(self, request: Request, body: bytes, held: contextlib.ExitStack) -> tuple[Wish, Inquiry]:
        """On a thread: unpacking and reading numbers would hold everybody else up. `held`: until it is answered."""
        name, version = _named(request)
        caller = place_of(request.scope).caller
        encoding = request.headers.get("content-encoding", "").lower()
        whole = held.enter_context(self._bodies.unpacked(body, encoding, caller))
        wish = asked(name, version, whole, request.headers.get(HEADER_LENGTH), self._limits)
        return wish, held.enter_context(self._desk.begin(wish.asked, caller))

    def _written(self, request: Request, wish: Wish, inquiry: Inquiry) -> Response:
        """On a thread: so would writing them."""
        content, headers = answered(inquiry.answered(), wish)
        encoding = request.headers.get("accept-encoding", "").lower()
        if encoding in ("gzip", "deflate"):  # only who asks for exactly one means it: most libraries always list both
            content, headers["content-encoding"] = packed(content, encoding), encoding
        return Response(content, headers=headers)

    async def _on_thread(self, place: Place, work: Callable[..., Any], *given: object, at_once: int = THREADS) -> Any:
        """One at a time of each caller."""
        if at_once not in self._turns:
            self._turns[at_once] = CapacityLimiter(at_once)

        def timed() -> Any:
            began_s = time.monotonic()
            try:
                return work(*given)
            finally:
                place.worked_s += time.monotonic() - began_s

        async with place.reading:
            return await to_thread.run_sync(timed, limiter=self._turns[at_once])


def _metrics(exposition: Callable[[], bytes]) -> Handler:
    from appliance.service.metrics import CONTENT_TYPE

    async def handler(_request: Request) -> Response:
        return Response(await to_thread.run_sync(exposition), headers={"content-type": CONTENT_TYPE})

    return handler


def _at_once(request: Request, body: bytes) -> int:
    """How many requests like this one are worked on at the same time; raises BadTensor."""
    length = json_bytes(request.headers.get(HEADER_LENGTH))
    return 1 if (len(body) if length is None else length) > LONG_JSON_BYTES else THREADS


def _named(request: Request) -> tuple[str, str]:
    return request.path_params.get("model", ""), request.path_params.get("version", "")


def _error(status: int, words: str) -> Response:
    body = json.dumps({"error": words}, ensure_ascii=False)
    # What is left of the body has not been read: the connection cannot be used again.
    headers = {"connection": "close"} if status in (413, 503, 504) else {}
    return Response(body, status, headers, "application/json")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _error(STATUS[error.code], error.words or error.code)


async def _bad_tensor(_request: Request, error: Exception) -> Response:
    return _error(413 if isinstance(error, TooLarge) else 400, str(error))


async def _no_such_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, f"{request.method} {request.url.path[:200]}: {error.detail}")
