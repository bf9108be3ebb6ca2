"""A caller of the Open Inference Protocol that means harm, in a process of its own, from an address of its own.

python -m scripts.benchmarks.floods_caller rest 127.0.0.1:8000 questions 20: says so when it has begun.
"""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from scripts.benchmarks.sleepy_service import SAMPLES

CONNECTIONS = 16
ADDRESS = "127.0.0.2"
SOUND = np.zeros((1, SAMPLES), np.float32)
_LARGE = 4_000_000
"""Numbers of FP32 in the largest tensors."""


def main() -> None:
    transport, where, kind, seconds = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
    kinds = REST if transport == "rest" else GRPC
    per_s, calls = kinds[kind]
    next(calls(where), None)
    end_s = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_keep_asking, args=(calls, where, per_s / CONNECTIONS, end_s), daemon=True)
        for _ in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    print("at work", flush=True)
    for thread in threads:
        thread.join()


def _keep_asking(calls: Callable[[str], Iterator[None]], where: str, per_s: float, end_s: float) -> None:
    """On one connection, at this pace or as fast as it is answered; again when it is closed."""
    due_s = time.monotonic()
    while time.monotonic() < end_s:
        with contextlib.suppress(OSError), contextlib.closing(calls(where)) as call:  # type: ignore[type-var]
            for _ in call:
                due_s = max(due_s + 1 / per_s, time.monotonic() - 1.0)
                time.sleep(max(0.0, due_s - time.monotonic()))
                if time.monotonic() > end_s:
                    return


# -- REST -------------------------------------------------------------------------------------------------------------


def _request(body: bytes, json_bytes: int | None = None, encoding: str = "") -> bytes:
    head = f"POST /v2/models/stated/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    if json_bytes is not None:
        head += f"Inference-Header-Content-Length: {json_bytes}\r\n"
    if encoding:
        head += f"Content-Encoding: {encoding}\r\n"
    return head.encode() + b"\r\n" + body


def question(array: np.ndarray[Any, Any] = SOUND) -> tuple[bytes, int]:
    """The body of a request with this tensor, and how much of it is JSON."""
    entry = {"name": "x", "datatype": "FP32", "shape": array.shape, "parameters": {"binary_data_size": array.nbytes}}
    head = json.dumps({"inputs": [entry]}).encode()
    return head + array.tobytes(), len(head)


def _in_json(numbers: int) -> bytes:
    entry = {"name": "x", "datatype": "FP32", "shape": [1, numbers], "data": [0.25] * numbers}
    return json.dumps({"inputs": [entry]}, separators=(",", ":")).encode()


def _sending(make: Callable[[], bytes]) -> Callable[[str], Iterator[None]]:
    """One request after the other over a kept connection. It is made once: that would cost more than sending it."""
    made = functools.lru_cache(1)(make)

    def calls(where: str) -> Iterator[None]:
        request = made()
        with _connected(where) as connection:
            while True:
                connection.sendall(request)
                _read_answer(connection)
                yield

    return calls


def _connecting(where: str) -> Iterator[None]:
    """Half a head over a connection of its own each time."""
    while True:
        with _connected(where) as connection:
            connection.sendall(b"GET /v2 HTTP/1.1\r\nHost:")
            yield


def _connected(where: str) -> socket.socket:
    host, _, port = where.rpartition(":")
    connection = socket.create_connection((host, int(port)), 30, source_address=(ADDRESS, 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _read_answer(connection: socket.socket) -> None:
    """The whole of a response; raises OSError at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += _some(connection)
    if b"connection: close" in head.lower():
        raise ConnectionError("closed by the server")


def _some(connection: socket.socket) -> bytes:
    piece = connection.recv(65536)
    if not piece:
        raise ConnectionError("closed by the server")
    return piece


REST: Mapping[str, tuple[float, Callable[[str], Iterator[None]]]] = {
    "questions": (500.0, _sending(lambda: _request(*question()))),
    "malformed": (500.0, _sending(lambda: _request(b'{"inputs": ['))),
    "metadata": (500.0, _sending(lambda: b"GET /v2/models/stated HTTP/1.1\r\nHost: localhost\r\n\r\n")),
    "wrong shapes of 16 MB": (20.0, _sending(lambda: _request(*question(np.zeros((1, _LARGE), np.float32))))),
    "4 MB of JSON": (20.0, _sending(lambda: _request(_in_json(790_000)))),
    "bombs": (50.0, _sending(lambda: _request(zlib.compress(bytes(100 << 20)), encoding="deflate"))),
    "half heads": (500.0, _connecting),
}
"""Requests a second, if they are answered, and how they are made."""


# -- gRPC -------------------------------------------------------------------------------------------------------------


def _calling(make: Callable[[Any], Any], method: str = "ModelInfer") -> Callable[[str], Iterator[None]]:
    @functools.lru_cache(1)
    def made() -> bytes:
        from appliance.oip.proto import messages

        data: bytes = make(messages).SerializeToString()
        return data

    def calls(where: str) -> Iterator[None]:
        import grpc  # type: ignore[import-untyped]  # it ships no types

        from appliance.oip.proto import messages

        request = made()
        options = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own
        with grpc.insecure_channel(where, options=options) as channel:
            call = channel.unary_unary(f"/{messages.SERVICE}/{method}")
            while True:
                with contextlib.suppress(grpc.RpcError):
                    call(request, timeout=30)
                yield

    return calls


def infer_message(messages: Any, array: np.ndarray[Any, Any] = SOUND) -> Any:
    """A question with this tensor."""
    request = messages.ModelInferRequest(model_name="stated")
    request.inputs.add(name="x", datatype="FP32", shape=array.shape)
    request.raw_input_contents.append(array.tobytes())
    return request


def _malformed(messages: Any) -> Any:
    request = infer_message(messages)
    request.raw_input_contents[0] = b"short"
    return request


def _in_contents(messages: Any) -> Any:
    request = messages.ModelInferRequest(model_name="stated")
    entry = request.inputs.add(name="x", datatype="UINT8", shape=[1, 10 * _LARGE])
    entry.contents.uint_contents.extend([1] * (10 * _LARGE))
    return request


GRPC: Mapping[str, tuple[float, Callable[[str], Iterator[None]]]] = {
    "questions": (500.0, _calling(infer_message)),
    "malformed": (500.0, _calling(_malformed)),
    "metadata": (500.0, _calling(lambda messages: messages.ModelMetadataRequest(name="stated"), "ModelMetadata")),
    "wrong shapes of 16 MB": (20.0, _calling(lambda m: infer_message(m, np.zeros((1, _LARGE), np.float32)))),
    "40 MB of numbers": (5.0, _calling(_in_contents)),
}


if __name__ == "__main__":
    main()
