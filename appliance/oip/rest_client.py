"""The client of the protocol over REST: binary tensors where the server says that it knows them."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote

from appliance.oip.client import LIMITS
from appliance.oip.rest_infer import HEADER_LENGTH
from appliance.questions.tensors import BadTensor, Tensor, joined, parse_object, read, split, written
from engines.engine import EngineError

CHUNK = 1 << 20


class RestClient:
    """One connection, kept open. See `Client` for the contract."""

    def __init__(self, url: str, host: str, port: int, *, secure: bool, within_s: float) -> None:
        self._url = url.rstrip("/")
        self._within_s = within_s
        self._connection = (
            HTTPSConnection(host, port, context=ssl.create_default_context()) if secure else HTTPConnection(host, port)
        )
        self._binary: bool | None = None
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        """That of the call in progress."""
        self._cancelled = False

    def model(self, name: str) -> dict[str, Any]:
        path = f"/v2/models/{quote(name, safe='')}"
        self._call("GET", f"{path}/ready")
        body, _ = self._call("GET", path)
        return self._object(body)

    def infer(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[str]) -> tuple[Tensor, ...]:
        binary = self._knows_binary()
        entries, raws = zip(*(written(tensor, binary=binary) for tensor in inputs), strict=True)
        wanted = [{"name": output, "parameters": {"binary_data": binary}} for output in outputs]
        document: dict[str, Any] = {"inputs": list(entries), "outputs": wanted}
        body, length = joined(document, raws)
        headers = {"Content-Type": "application/octet-stream" if binary else "application/json"}
        if binary:
            headers[HEADER_LENGTH] = str(length)
        answer, told = self._call("POST", f"/v2/models/{quote(name, safe='')}/infer", body, headers)
        try:
            parsed, raw = split(answer, None if told is None else int(told), LIMITS)
            return read(parsed.get("outputs"), raw, LIMITS)
        except ValueError as error:
            raise EngineError(f"{self._url}: an answer that breaks the protocol: {error}") from error

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = self._socket is not None
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._connection.close()

    def _knows_binary(self) -> bool:
        if self._binary is None:
            body, _ = self._call("GET", "/v2")
            extensions = self._object(body).get("extensions")
            self._binary = isinstance(extensions, list) and "binary_tensor_data" in extensions
        return self._binary

    def _object(self, body: bytes) -> dict[str, Any]:
        try:
            return parse_object(body)
        except BadTensor as error:
            raise EngineError(f"{self._url}: an answer that breaks the protocol: {error}") from error

    def _call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[bytes, str | None]:
        """The body of the answer and the length of its JSON header. Once more where a kept connection has ended."""
        until = time.monotonic() + self._within_s
        fresh = self._connection.sock is None
        try:
            return self._call_once(method, path, body, headers or {}, until)
        except (ConnectionError, HTTPException) as error:
            self._connection.close()
            if fresh or self._cancelled:
                raise self._trouble(error) from error
        except OSError as error:
            self._connection.close()
            raise self._trouble(error) from error
        try:
            return self._call_once(method, path, body, headers or {}, until)
        except (OSError, HTTPException) as error:
            self._connection.close()
            raise self._trouble(error) from error

    def _call_once(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], until: float
    ) -> tuple[bytes, str | None]:
        connection = self._connection
        connection.timeout = max(0.001, until - time.monotonic())
        if connection.sock is None:
            connection.connect()  # without Nagle's delay
        wire: socket.socket = connection.sock
        wire.settimeout(connection.timeout)
        with self._lock:
            self._socket, self._cancelled = wire, False
        try:
            connection.request(method, path, body or None, dict(headers))
            response = connection.getresponse()
            answer = self._read(response, until)
        finally:
            with self._lock:
                self._socket = None
        if response.status != 200:
            raise EngineError(f"{self._url}{path}: {response.status}: {_words(answer, response.reason)}")
        return answer, response.getheader(HEADER_LENGTH)

    def _read(self, response: HTTPResponse, until: float) -> bytes:
        """All of it; a server that drips is not waited for longer than for one that is silent."""
        answer = bytearray()
        while piece := response.read1(CHUNK):
            answer += piece
            if len(answer) > LIMITS.body_bytes:
                self._connection.close()
                raise EngineError(f"{self._url}: an answer of more than {LIMITS.body_bytes} bytes")
            if time.monotonic() > until:
                raise TimeoutError
        if response.length:
            raise ConnectionError(f"its answer ended {response.length} bytes too early")
        response.read()  # nothing is left, but only this gives the connection free for the next call
        return bytes(answer)

    def _trouble(self, error: Exception) -> EngineError:
        if self._cancelled:
            return EngineError(f"{self._url}: called off")
        if isinstance(error, TimeoutError):
            return EngineError(f"{self._url}: no answer within {self._within_s:g} s")
        return EngineError(f"{self._url}: cannot be asked: {error or type(error).__name__}")


def _words(body: bytes, reason: str) -> str:
    """What the body of an error says."""
    try:
        document = json.loads(body)
    except ValueError:
        return reason
    words = document.get("error") if isinstance(document, dict) else None
    return str(words)[:500] if words else reason
