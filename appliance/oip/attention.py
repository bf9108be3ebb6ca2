"""Every caller of REST has the same part of the server's attention, however many requests and connections it makes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.oip.callers import PerCaller, caller_at
from appliance.oip.guard import OPEN
from appliance.oip.refusal_pace import RefusalPace, rest_s
from appliance.oip.shares import Shares

UNDER_WAY = 96
"""Requests of all callers, those that wait for a model among them."""
EACH = 32
HANDS = 4
"""Requests of one caller that are worked on at once: what is read, computed and written takes the event loop's time."""
_KEY = "appliance.place"


class _Desk:
    """What a caller shares among its requests."""

    def __init__(self) -> None:
        self.hands = asyncio.Semaphore(HANDS)
        self.reading = asyncio.Lock()
        """Around what is computed on a thread: one request of each caller at a time."""


@dataclass(slots=True, eq=False)
class Place:
    """A request that has the server's attention."""

    caller: str
    reading: asyncio.Lock
    hands: asyncio.Semaphore
    worked_s: float = 0.0
    """Time on threads so far."""
    received_bytes: int = 0

    @contextlib.asynccontextmanager
    async def away(self) -> AsyncIterator[None]:
        """Within the block the caller's other requests are worked on."""
        self.hands.release()
        try:
            yield
        finally:
            await self.hands.acquire()


def place_of(scope: Scope) -> Place:
    """Of a request that came past `Attention`."""
    place = scope[_KEY]
    assert isinstance(place, Place)
    return place


@dataclass(frozen=True, slots=True)
class AttentionFigures:
    """Of one transport."""

    callers: int = 0
    """With something under way, now."""
    under_way: int = 0
    """Requests, now."""
    turned_away: int = 0
    """Requests beyond their caller's share, ever."""
    slowed: int = 0
    """Refusals that were told late, as their caller had had so many, ever."""


class Attention:
    """Belongs to the thread of an event loop, but for `figures`. What a supervisor asks goes past it."""

    def __init__(self) -> None:
        self._shares = Shares(UNDER_WAY, EACH)
        self._desks = PerCaller(_Desk)
        self._pace = RefusalPace()
        self._turned_away = 0

    def figures(self) -> AttentionFigures:
        return AttentionFigures(self._shares.callers, self._shares.held, self._turned_away, self._pace.slowed)

    async def handle(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """A request, in its caller's turn."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await app(scope, receive, send)
            return
        caller = caller_at(scope["client"][0] if scope.get("client") else "")
        if not self._shares.take(caller):
            self._turned_away += 1
            await asyncio.sleep(self._pace.wait_s(caller, time.monotonic()))
            await _refuse(send)
            return
        try:
            with self._desks.of(caller) as desk:
                place = scope[_KEY] = Place(caller, desk.reading, desk.hands)
                async with desk.hands:
                    await app(scope, receive, self._paced(place, send))
        finally:
            self._shares.give_back(caller)

    def _paced(self, place: Place, send: Send) -> Send:
        async def paced(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                async with place.reading:
                    await asyncio.sleep(rest_s(place.worked_s, place.received_bytes))
                async with place.away():
                    await asyncio.sleep(self._pace.wait_s(place.caller, time.monotonic()))
            await send(message)

        return paced


class Attentive:
    """Puts `Attention` in front of an application."""

    def __init__(self, app: ASGIApp, attention: Attention) -> None:
        self._app = app
        self._attention = attention

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._attention.handle(self._app, scope, receive, send)


async def _refuse(send: Send) -> None:
    words = f"too many requests of yours are under way (at most {EACH}): wait for their answers"
    body = json.dumps({"error": words}).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), "retry-after": "1"}
    # What is left of the body has not been read: the connection cannot be used again.
    pairs = [(name.encode(), value.encode()) for name, value in {**headers, "connection": "close"}.items()]
    await send({"type": "http.response.start", "status": 429, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
