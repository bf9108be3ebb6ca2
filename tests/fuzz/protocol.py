"""The Open Inference Protocol: REST through the server's own connections, gRPC's messages, answers of others."""

from __future__ import annotations

import functools
import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from appliance.catalogue import Catalogue
from appliance.oip.client import LIMITS
from appliance.oip.desk import Desk
from appliance.oip.serving import Serving
from appliance.oip.settings import Oip
from appliance.questions.question import Refused
from appliance.questions.tensors import BadTensor, read, split
from appliance.service.backend import Local
from appliance.service.room import Room
from engines.library import Library
from engines.model import Model
from tests.fuzz.kept import KEPT
from tests.fuzz.messages import head_and_rest
from tests.fuzz.target import Broken, Target
from tests.fuzz.web import Web, requests
from tests.waiting import until

MODEL = "tones"
_SETTINGS = Oip(http="127.0.0.1:0", grpc="off", max_mb=1)


@functools.cache
def _room() -> Room:
    """One model that is quick."""
    catalogue = Catalogue.before_shipped(Library(Path(tempfile.gettempdir()) / "nonexistent"))
    backend = functools.partial(Local, lambda: catalogue.find(MODEL), lambda bundle: Model(bundle, threads=1), None)
    room = Room({MODEL: backend}, service="here")
    KEPT.enter_context(room)
    until(lambda: all(each.ready for each in room.models()), 30)
    return room


# -- REST -------------------------------------------------------------------------------------------------------------


@functools.cache
def _rest() -> Web:
    return Web(Serving(_room(), _SETTINGS, "here").application())


def rest(data: bytes) -> None:
    """Raw bytes on a connection. `failed` is what a model says; a fault of ours is what the server logs."""
    _rest().give(data)


def _inputs() -> tuple[list[dict[str, Any]], bytes]:
    """What the model takes: one window of silence, and the state it brings along if any."""
    entries, raw = [], b""
    for spec in _room().models()[0].inputs:
        array = np.zeros([size or 1 for size in spec.shape], spec.dtype)
        entries.append({"name": spec.name, "datatype": "FP32", "shape": list(array.shape)})
        raw += array.tobytes()
    return entries, raw


def rests() -> Iterator[bytes]:
    entries, raw = _inputs()
    infer = f"POST /v2/models/{MODEL}/infer"
    binary = [{**entry, "parameters": {"binary_data_size": len(raw) // len(entries)}} for entry in entries]
    asked = {"id": "a", "inputs": binary, "outputs": [{"name": "scores", "parameters": {"binary_data": True}}]}
    head = json.dumps(asked).encode()
    small = [{"name": "x", "datatype": "INT8", "shape": [1, 2], "data": [[1, 2]]}]
    timed = {"parameters": {"timeout": 100_000, "binary_data_output": True}, "inputs": small}
    yield from requests(
        *(
            ("GET " + path, b"")
            for path in ("/v2", "/v2/health/ready", "/v2/models/stats", f"/v2/models/{MODEL}/config")
        ),
        (f"GET /v2/models/{MODEL}/versions/1/ready\nAccept-Encoding: gzip", b""),
        ("POST /v2/repository/index", b'{"ready": true}'),
        (f"POST /v2/repository/models/{MODEL}/load", b'{"parameters": {"config": "x"}}'),
        (f"{infer}\nInference-Header-Content-Length: {len(head)}", head + raw),
        (f"{infer}\nContent-Encoding: deflate\nAuthorization: Bearer x", b"x\x9c\x03\x00\x00\x00\x00\x01"),
        (f"{infer}\nOrigin: http://[::1]:80", json.dumps(timed).encode()),
        (f"{infer}\nTransfer-Encoding: chunked", b""),
        (infer, json.dumps(timed).encode()),
    )


# -- gRPC -------------------------------------------------------------------------------------------------------------


@functools.cache
def _calls() -> Any:
    from appliance.oip.grpc_server import _Calls
    from appliance.questions.tensors import Limits

    return _Calls(Desk(_room(), _SETTINGS, "here"), Limits(body_bytes=1_000_000))


def grpc(data: bytes) -> None:
    """The first line is the method; the rest is the message, as the server reads it."""
    from appliance.oip.grpc_attention import GrpcAttention
    from appliance.oip.grpc_server import _Call
    from appliance.oip.proto import messages

    name, message = head_and_rest(data)
    if name not in messages.methods():
        raise Refused("malformed", "no such method")
    with GrpcAttention(4_000_000).place("fuzz") as place, place.attended():
        call = _Call(place, 1.0, threading.Event().set)
        answer = _calls().answered(name, messages.methods()[name][0], iter([message]), call)
        if not isinstance(answer, messages.methods()[name][1]):
            raise Broken(f"{name} answered with a {type(answer).__name__}")
        answer.SerializeToString()


def calls() -> Iterator[bytes]:
    from appliance.oip.proto import messages

    entries, raw = _inputs()
    asked = messages.ModelInferRequest(model_name=MODEL, id="a")
    for entry in entries:
        asked.inputs.add(**entry)
        asked.raw_input_contents.append(raw[: 4 * int(np.prod(entry["shape"]))])
    asked.parameters["timeout"].int64_param = 1_000_000
    asked.outputs.add(name="scores")
    written = messages.ModelInferRequest(model_name=MODEL, model_version="1")
    one = written.inputs.add(name="x", datatype="INT8", shape=[1, 2])
    one.contents.int_contents.extend([1, 200])
    one.parameters["a"].string_param = "b"
    for name, message in {
        "ModelInfer": asked,
        "ModelMetadata": messages.ModelMetadataRequest(name=MODEL, version="1"),
        "ModelStatistics": messages.ModelStatisticsRequest(name=MODEL),
        "RepositoryIndex": messages.RepositoryIndexRequest(ready=True),
        "RepositoryModelLoad": messages.RepositoryModelLoadRequest(model_name=MODEL),
    }.items():
        yield name.encode() + b"\n" + message.SerializeToString()
    yield b"ModelInfer\n" + written.SerializeToString()


# -- answers of other servers -----------------------------------------------------------------------------------------


def tensors(data: bytes) -> None:
    """The answer of a server over REST; the first line is the length of its JSON, or nothing."""
    head, body = head_and_rest(data)
    document, raw = split(body, int(head) if head.isascii() and head.isdigit() and len(head) < 9 else None, LIMITS)
    read(document.get("outputs"), raw, LIMITS)


def answers() -> Iterator[bytes]:
    plain = {"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 2], "data": [[1, 2.5], [3e3, -4]]}]}
    texts = {"outputs": [{"name": "t", "datatype": "BYTES", "shape": [2], "data": ["a", "b\u00e9"]}]}
    flags = {"outputs": [{"name": "f", "datatype": "BOOL", "shape": [1, 2], "data": [True, False]}]}
    for document in (plain, texts, flags):
        yield b"\n" + json.dumps(document).encode()
    entry = {"name": "y", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 11}}
    head = json.dumps({"outputs": [entry]}).encode()
    yield f"{len(head)}\n".encode() + head + b"\x02\0\0\0ab\x01\0\0\0c"


TARGETS = {
    "oip-rest": Target(rest, (), rests, most_cpu_s=1.0),
    "oip-grpc": Target(grpc, (Refused, BadTensor), calls, most_cpu_s=1.0),
    "oip-answer": Target(tensors, (BadTensor,), answers),
}
