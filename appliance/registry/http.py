"""A registry over HTTP: ranges of files, several requests on one connection. Any server of plain files does, too."""

from __future__ import annotations

import logging
import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket
from typing import Any
from urllib.parse import unquote, urlsplit

from appliance.registry.errors import RegistryError
from appliance.registry.shelf import Gives, Missing
from appliance.sync.published import CHUNK_BYTES

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 64
PATIENCE_S = 30.0
"""How long a connection may say nothing."""
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{0,15})")


class HttpServer(ThreadingHTTPServer):
    """Listens when it is made; `run` is the body of a thread, `stop` ends it."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, gives: Gives, host: str, port: int, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        """Port 0 takes a free one. Raises RegistryError."""
        self.gives = gives
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise RegistryError(f"{host}:{port}: cannot listen there: {error}") from error
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            try:
                self._context.load_cert_chain(certificate, key)
            except OSError as error:
                self.server_close()
                raise RegistryError(f"{certificate}: this certificate and its key cannot be used: {error}") from error

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http{'s' if self._context else ''}://{host!s}:{port}"

    def run(self) -> None:
        with self:
            self.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        self.shutdown()

    def process_request(self, request: Any, client_address: Any) -> None:
        """More than we have places for wait in the kernel's queue."""
        if self._places.acquire(timeout=PATIENCE_S):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake is made on the connection's own thread, which may wait."""
        request.settimeout(PATIENCE_S)
        wrapped: socket = request
        if self._context is not None:
            wrapped = self._context.wrap_socket(request, server_side=True)
        super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away whenever they like."""
        logger.debug("%s: the connection ended", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE_S
    server: HttpServer

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        try:
            total = self.server.gives.read(path, 0, 0).total
        except Missing:
            self._empty(404)
            return
        except OSError as error:
            logger.error("%s: cannot be read: %s", path, error)
            self._empty(500)
            return
        first, last, status = 0, total - 1, 200
        if wanted := _RANGE.fullmatch(self.headers.get("Range", "")):
            first, last, status = int(wanted[1]), min(int(wanted[2] or total - 1), total - 1), 206
            if first > last:
                self._empty(416, f"bytes */{total}")
                return
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{last}/{total}")
        self.end_headers()
        if with_body:
            self._send(path, first, last)

    def _send(self, path: str, first: int, last: int) -> None:
        while first <= last:
            content = self.server.gives.read(path, first, min(CHUNK_BYTES, last - first + 1)).content
            if not content:
                self.close_connection = True  # it became shorter meanwhile; what is missing tells the client
                return
            self.wfile.write(content)
            first += len(content)

    def _empty(self, status: int, content_range: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        if content_range is not None:
            self.send_header("Content-Range", content_range)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name in the base class
        logger.debug("%s " + format, self.address_string(), *args)
