"""A registry over HTTP or HTTPS: one connection, ranges, no redirects."""

from __future__ import annotations

import http.client
import re
import ssl
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, urlsplit

from appliance.config_errors import ConfigError
from appliance.sync.carrier import CarrierError, NoSuchFile, Piece

PATIENCE_S = 6.0
"""Without a byte."""
WHOLE_S = 60.0
"""For all bytes of one read: a server that drips holds us no longer."""
READ_MOST = 128 << 10
"""Bytes of one read: what a cut can cost."""
_CONTENT_RANGE = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15})")


class HttpCarrier:
    """`read` connects when there is no connection."""

    def __init__(self, url: str, ca_file: Path | None = None, patience_s: float = PATIENCE_S) -> None:
        """`https://host/path`; `ca_file`: who vouches for the server, None is the system's. Raises ConfigError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{url}: not the address of a registry: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ConfigError(f"{url}: not the address of a registry; write https://host/path")
        self.url = url
        self._prefix = parts.path.rstrip("/")
        self._host, self._port = parts.hostname, port
        self._patience_s = patience_s
        self._context: ssl.SSLContext | None = None
        if parts.scheme == "https":
            try:
                self._context = ssl.create_default_context(cafile=ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(f"{ca_file}: not a certificate authority in PEM form: {error}") from error
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> HttpCarrier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def read(self, path: str, offset: int, most: int) -> Piece:
        try:
            return self._read(path, offset, min(most, READ_MOST))
        except CarrierError:
            self._close()
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._close()
            raise CarrierError(f"{self.url}: {error or type(error).__name__}") from error

    def _read(self, path: str, offset: int, most: int) -> Piece:
        deadline_s = time.monotonic() + WHOLE_S
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request(
            "GET", f"{self._prefix}/{quote(path)}", headers={"Range": f"bytes={offset}-{offset + most - 1}"}
        )
        response = self._connection.getresponse()
        total = self._total(response, path, offset)
        if response.status == 416:
            response.read(1024)
            return Piece(b"", total)
        content = self._body(response, min(most, total - offset), deadline_s)
        if response.status == 200 or len(content) < min(most, total - offset) or not response.isclosed():
            self._close()  # it broke, or something is on its way that nobody asked for
        return Piece(content, total)

    def _total(self, response: http.client.HTTPResponse, path: str, offset: int) -> int:
        if response.status in (403, 404, 410):
            response.read(1 << 16)
            raise NoSuchFile(f"{self.url}: has no {path}")
        if response.status == 200 and offset == 0:
            return int(response.headers.get("Content-Length", "-1"))
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or response.status not in (206, 416):
            hint = "; it gives no ranges" if response.status == 200 else ""
            raise CarrierError(f"{self.url}: answered {response.status} for {path}{hint}")
        if response.status == 206 and (found[1] is None or int(found[1]) != offset):
            raise CarrierError(f"{self.url}: sent another part of {path} than was asked for")
        return int(found[3])

    def _body(self, response: http.client.HTTPResponse, most: int, deadline_s: float) -> bytes:
        """What came, when the connection breaks on the way."""
        content = bytearray()
        while len(content) < most and time.monotonic() < deadline_s:
            try:
                more = response.read1(most - len(content))
            except (OSError, http.client.HTTPException):
                if content:
                    break
                raise
            if not more:
                break
            content += more
        if not content and most > 0:
            raise CarrierError(f"{self.url}: the connection ended within a file")
        return bytes(content)

    def _connect(self) -> http.client.HTTPConnection:
        if self._context is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._patience_s, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._patience_s)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
