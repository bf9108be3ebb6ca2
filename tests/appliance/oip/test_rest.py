"""REST as a caller meets it who knows nothing of us: what is offered, and what is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from appliance.oip.serving import Addresses
from tests.appliance.oip.caller import INFER, INPUT, PICTURE, Caller, binary

# -- what is offered --------------------------------------------------------------------------------------------------


def test_outputs_come_as_numbers_unless_asked_for_binary(caller: Caller) -> None:
    status, answer = caller.infer({"id": "a", **binary(), "outputs": [{"name": "scores"}]}, PICTURE.tobytes())
    assert status == 200
    [scores] = answer["outputs"]
    assert (answer["id"], answer["model_name"], scores["name"], scores["shape"]) == (
        "a",
        "shapes",
        "scores",
        [1, 2880, 3],
    )
    assert len(scores["data"]) == 2880 * 3


def test_one_output_may_be_binary_and_another_not(caller: Caller) -> None:
    wish = [{"name": "scores", "parameters": {"binary_data": True}}, {"name": "boxes"}]
    head = json.dumps({**binary(), "outputs": wish}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    caller.connection.request("POST", INFER, head + PICTURE.tobytes(), headers)
    response = caller.connection.getresponse()
    length = int(response.headers["Inference-Header-Content-Length"])
    body = response.read()
    scores, boxes = json.loads(body[:length])["outputs"]
    assert scores["parameters"]["binary_data_size"] == len(body) - length == 2880 * 3 * 4
    assert len(boxes["data"]) == 2880 * 4


def test_several_samples_are_answered_in_one_request(caller: Caller) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, *PICTURE.shape[1:]), np.uint8)
    entry = {**INPUT, "shape": list(pictures.shape), "parameters": {"binary_data_size": pictures.nbytes}}
    status, together = caller.infer({"inputs": [entry], "outputs": [{"name": "scores"}]}, pictures.tobytes())
    assert status == 200
    apart = [
        caller.infer({**binary(), "outputs": [{"name": "scores"}]}, picture.tobytes())[1]["outputs"][0]["data"]
        for picture in pictures
    ]
    assert together["outputs"][0]["shape"] == [3, 2880, 3]
    assert together["outputs"][0]["data"] == sum(apart, [])  # noqa: RUF017  # three lists


def test_a_version_that_is_not_here_is_not_found(caller: Caller) -> None:
    assert caller.ask("GET", "/v2/models/shapes/versions/1/ready")[0] == 200
    status, body = caller.ask("GET", "/v2/models/shapes/versions/7")
    assert (status, b"version 7 is not here" in body) == (404, True)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "list"),
        ({"inputs": []}, "takes the inputs picture"),
        ({"inputs": [INPUT]}, "184320 bytes"),
        ({"inputs": [{**INPUT, "datatype": "FP99"}]}, "datatype"),
        ({"inputs": [{**INPUT, "shape": [1, -1]}]}, "shape"),
        ({"inputs": [{**INPUT, "shape": [1 << 62, 1 << 62]}]}, "more than"),
        ({"inputs": [{**INPUT, "shape": [0, 192, 320, 3], "data": []}]}, "0 samples"),
        ({"inputs": [{**INPUT, "shape": [1, 1, 1, 3], "data": [1, 2, 300]}]}, "too large"),
        ({"inputs": [{**INPUT, "parameters": {"binary_data_size": 10**12}}]}, "raw bytes"),
        ({**binary(), "outputs": "all"}, "outputs"),
        ({**binary(), "outputs": [{"name": "nosuch"}]}, "no output nosuch"),
        ({**binary(), "outputs": [{"name": "scores", "parameters": {"classification": 3}}]}, "classification"),
        ({**binary(), "parameters": {"sequence_id": 3}}, "sequences"),
        ({**binary(), "parameters": {"timeout": "soon"}}, "timeout"),
        ({**binary(), "id": 7}, "id"),
    ],
)
def test_a_request_that_is_wrong_is_told_why(caller: Caller, document: Any, words: str) -> None:
    raw = PICTURE.tobytes() if "parameters" in str(document.get("inputs")) else b""
    status, answer = caller.infer(document, raw)
    assert 400 <= status < 500
    assert words in answer["error"]
    assert caller.ask("GET", "/v2/health/ready")[0] == 200


@pytest.mark.system
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"\x1f\x8b not gzip", {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"{}")[:-4], {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"{}") + b"more", {"Content-Encoding": "gzip"}, 400),
        (b"{}", {"Content-Encoding": "br"}, 400),
        (b"[" * 100_000, {}, 400),
        (b'{"inputs": NaN}', {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"{}", {"Inference-Header-Content-Length": "-1"}, 400),
        (b"{}", {"Inference-Header-Content-Length": "99999999999999999999"}, 400),
        (b"{}" + b" " * (5 << 20), {}, 413),
        (gzip.compress(bytes(65 << 20), 1), {"Content-Encoding": "gzip"}, 413),
    ],
    ids=[
        "not gzip",
        "gzip cut off",
        "more behind gzip",
        "unknown encoding",
        "nested deep",
        "NaN",
        "no UTF-8",
        "negative length",
        "endless length",
        "long JSON",
        "gzip bomb",
    ],
)
def test_a_body_that_is_no_request_is_refused(
    caller: Caller, body: bytes, headers: Mapping[str, str], status: int
) -> None:
    got, answer = caller.ask("POST", INFER, body, headers)
    assert (got, "error" in json.loads(answer)) == (status, True)


def test_a_body_that_says_it_is_too_long_is_refused_before_it_comes(served: Addresses) -> None:
    caller = Caller(served.http)
    caller.connection.putrequest("POST", INFER)
    caller.connection.putheader("Content-Length", str(10**12))
    caller.connection.endheaders()
    assert caller.connection.getresponse().status == 413
    caller.connection.close()


def test_a_deadline_that_has_passed_is_said_to_be_so(caller: Caller) -> None:
    status, answer = caller.infer({**binary(), "parameters": {"timeout": 1}}, PICTURE.tobytes())
    assert (status, "error" in answer) == (504, True)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("GET", INFER, 405), ("PUT", "/v2", 405)])
def test_a_path_that_is_none_is_told_in_the_words_of_the_protocol(
    caller: Caller, method: str, path: str, status: int
) -> None:
    got, body = caller.ask(method, path)
    assert (got, "error" in json.loads(body)) == (status, True)
