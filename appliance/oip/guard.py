"""Who may ask: the bearer of a token; on loopback no web page that a person happens to look at."""

from __future__ import annotations

import hmac
import json

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from appliance.oip.settings import is_loopback

OPEN = ("/v2/health/live", "/v2/health/ready")
"""What a supervisor may ask without a token."""


def is_bearer(authorization: str | None, token: str) -> bool:
    """Whether the value of the Authorization header holds the token; takes as long for a wrong one."""
    kind, _, given = (authorization or "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


class Guard:
    """Refuses requests before anything of them is read.

    A page in a browser can send requests to a server on loopback: under a name of its own that it lets point there
    (then Host is that name), or across origins (then there is an Origin). Programs do neither.
    """

    def __init__(self, app: ASGIApp, *, loopback: bool, token: str | None) -> None:
        self._app = app
        self._loopback = loopback
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        status, words = refusal
        body = json.dumps({"error": words}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status, "headers": [*headers, (b"connection", b"close")]})
        await send({"type": "http.response.body", "body": body})

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Status and words; None when it may pass."""
        headers = Headers(scope=scope)
        if "origin" in headers:
            return 403, "web pages may not ask here"
        if self._loopback and not is_loopback(_host_of(headers.get("host", ""))):
            return 421, "this is not the server you asked for: use localhost or 127.0.0.1"
        if self._token is None or scope["path"] in OPEN or is_bearer(headers.get("authorization"), self._token):
            return None
        return 401, "send the token of this server as `Authorization: Bearer …`"


def _host_of(header: str) -> str:
    """The name in a Host header, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()
