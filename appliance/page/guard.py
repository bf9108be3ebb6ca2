"""What is refused before anything of it is read: other hosts' names, other sites' requests, whoever has no session."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Collection, Mapping
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from appliance.oip.settings import is_loopback
from appliance.page.session import COOKIE, Door

LOCKED = "/api/"
"""Paths below it need a session; the page itself is the same for everybody and holds nothing."""
OPEN = ("/api/login", "/api/logout")
HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Guard:
    """A browser tells where a request comes from (Origin, Sec-Fetch-Site); programs do not, and need not."""

    def __init__(self, app: ASGIApp, *, loopback: bool, hosts: Collection[str], door: Door) -> None:
        """`hosts`: names that are ours, in small letters. `loopback`: only this machine can reach us."""
        self._app = app
        self._loopback = loopback
        self._hosts = frozenset(hosts)
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, sealed)
            return
        status, words = refusal
        body = json.dumps({"error": words}).encode()
        start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await sealed({"type": "http.response.start", "status": status, "headers": [*start, (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and words; None when it may pass."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._ours(_name(host)):
            return 421, "this is not the server you asked for; its own names and those under hosts in [page] count"
        if _from_elsewhere(headers, scope["scheme"], host, navigates=scope["method"] == "GET" and scope["path"] == "/"):
            return 403, "pages of other sites may not ask here"
        path = scope["path"]
        if not path.startswith(LOCKED) or path in OPEN or self._door.admits(cookie_of(headers), _bearer(headers)):
            return None
        return 401, "log in first, or send the page's token as `Authorization: Bearer …`"

    def _ours(self, name: str) -> bool:
        """A page of a stranger comes under a name, which it lets point to us; never under an address of ours."""
        if self._loopback:
            return is_loopback(name)
        return name in self._hosts or _is_address(name) or is_loopback(name)


def cookie_of(headers: Headers) -> str | None:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def _bearer(headers: Headers) -> str | None:
    return headers.get("authorization")


def _from_elsewhere(headers: Headers, scheme: str, host: str, *, navigates: bool) -> bool:
    """Whether a browser says that a page of another origin asks. A link to us is no such thing."""
    if "origin" in headers:
        return headers["origin"].lower() != f"{scheme}://{host}".lower()
    site = headers.get("sec-fetch-site", "none")
    return site not in ("same-origin", "none") and not (navigates and headers.get("sec-fetch-mode") == "navigate")


def _name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
