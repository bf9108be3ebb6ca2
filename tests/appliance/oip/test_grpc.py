"""gRPC as a caller meets it who fills in the messages by hand."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]  # it ships no types
import numpy as np
import pytest

from appliance.oip import grpc_server, grpc_tensors
from appliance.oip.proto import messages
from appliance.oip.serving import Addresses
from appliance.oip.settings import Oip
from appliance.questions.tensors import DTYPES, BadTensor, Limits, Tensor
from appliance.service.room import Room
from tests.appliance.oip.caller import PICTURE
from tests.appliance.oip.conftest import offered
from tests.certificates import Authority

INVALID = grpc.StatusCode.INVALID_ARGUMENT


class Caller:
    """One channel."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel

    def ask(self, method: str, metadata: tuple[tuple[str, str], ...] = (), **fields: Any) -> Any:
        return self.send(method, getattr(messages, f"{method}Request")(**fields), metadata)

    def send(self, method: str, request: Any, metadata: tuple[tuple[str, str], ...] = (), timeout_s: float = 20) -> Any:
        call = self.channel.unary_unary(
            f"/{messages.SERVICE}/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=getattr(messages, f"{method}Response").FromString,
        )
        return call(request, timeout=timeout_s, metadata=metadata)


@pytest.fixture
def caller(served: Addresses) -> Iterator[Caller]:
    with grpc.insecure_channel(served.grpc) as channel:
        yield Caller(channel)


def _request(**changes: Any) -> Any:
    request = messages.ModelInferRequest(model_name="shapes", **changes)
    request.inputs.add(name="picture", datatype="UINT8", shape=PICTURE.shape)
    request.raw_input_contents.append(PICTURE.tobytes())
    return request


def test_values_may_come_in_the_field_of_their_type(caller: Caller) -> None:
    typed = messages.ModelInferRequest(model_name="shapes")
    typed.inputs.add(name="picture", datatype="UINT8", shape=PICTURE.shape).contents.uint_contents.extend(
        PICTURE.ravel().tolist()
    )
    assert caller.send("ModelInfer", typed) == caller.send("ModelInfer", _request())


def test_only_the_outputs_that_are_asked_for_come(caller: Caller) -> None:
    request = _request(id="nine")
    request.outputs.add(name="scores")
    answer = caller.send("ModelInfer", request)
    assert (answer.id, [each.name for each in answer.outputs], len(answer.raw_output_contents)) == (
        "nine",
        ["scores"],
        1,
    )


def _in_contents(value: int) -> Any:
    """As numbers, not raw."""

    def change(request: Any) -> None:
        request.ClearField("raw_input_contents")
        request.inputs[0].contents.uint_contents.extend([value] * PICTURE.size)

    return change


def _in_shared_memory(request: Any) -> None:
    request.inputs[0].parameters["shared_memory_region"].string_param = "mine"


def _with(name: str, change: Any) -> Any:
    request = _request()
    change(request)
    return pytest.param(request, id=name)


@pytest.mark.parametrize(
    "request_",
    [
        _with("no inputs", lambda r: r.ClearField("inputs")),
        _with("raw for nobody", lambda r: r.raw_input_contents.append(b"more")),
        _with("raw cut off", lambda r: r.raw_input_contents.__setitem__(0, PICTURE.tobytes()[:-1])),
        _with("raw and contents", lambda r: r.inputs[0].contents.uint_contents.append(1)),
        _with(
            "wrong field", lambda r: (r.ClearField("raw_input_contents"), r.inputs[0].contents.fp32_contents.append(1))
        ),
        _with("a number too large", _in_contents(300)),
        _with("negative shape", lambda r: r.inputs[0].shape.__setitem__(0, -1)),
        _with("endless shape", lambda r: r.inputs[0].shape.__setitem__(0, 1 << 62)),
        _with("unknown type", lambda r: setattr(r.inputs[0], "datatype", "BF16")),
        _with(
            "two of a name", lambda r: (r.inputs.append(r.inputs[0]), r.raw_input_contents.append(PICTURE.tobytes()))
        ),
        _with("shared memory", _in_shared_memory),
        _with("a sequence", lambda r: setattr(r.parameters["sequence_id"], "int64_param", 4)),
        _with("unknown output", lambda r: r.outputs.add(name="nosuch")),
    ],
)
def test_a_request_that_is_wrong_is_told_why(caller: Caller, request_: Any) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        caller.send("ModelInfer", request_)
    assert caught.value.code() == INVALID
    assert caught.value.details()
    assert caller.ask("ServerReady").ready


def test_a_deadline_that_has_passed_is_said_to_be_so(caller: Caller) -> None:
    request = _request()
    request.parameters["timeout"].int64_param = 1
    with pytest.raises(grpc.RpcError) as caught:
        caller.send("ModelInfer", request)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_message_that_is_too_long_is_refused(room: Room) -> None:
    settings = Oip(http="off", grpc="127.0.0.1:0", max_mb=1)
    with offered(room, settings) as addresses, grpc.insecure_channel(addresses.grpc) as channel:
        caller = Caller(channel)
        request = _request()
        request.raw_input_contents[0] = bytes(2_000_000)
        with pytest.raises(grpc.RpcError) as caught:
            caller.send("ModelInfer", request)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert caller.send("ModelInfer", _request()).model_name == "shapes"


def test_only_so_many_connections_are_kept(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_server, "CONNECTIONS", 4)
    with offered(room, Oip(http="off", grpc="127.0.0.1:0")) as addresses:
        port = int(str(addresses.grpc).rpartition(":")[2])
        crowd = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(6)]
        greeted = [bool(each.recv(1)) for each in crowd]
        for each in crowd:
            each.close()
        assert greeted == [True] * 4 + [False] * 2
        with grpc.insecure_channel(addresses.grpc) as channel:
            assert Caller(channel).send("ModelInfer", _request()).model_name == "shapes"


def test_a_version_that_is_not_here_is_not_found(caller: Caller) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        caller.ask("ModelMetadata", name="shapes", version="7")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND


def test_from_other_machines_only_the_bearer_of_the_token_may_ask(room: Room, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.sign("service")
    token = tmp_path / "token"
    token.write_text("open sesame\n")
    settings = Oip(http="off", grpc="0.0.0.0:0", cert_file=certificate, key_file=key, token_file=token)
    with offered(room, settings) as addresses:
        trust = grpc.ssl_channel_credentials(authority.certificate.read_bytes())
        with grpc.secure_channel(f"localhost:{str(addresses.grpc).rpartition(':')[2]}", trust) as channel:
            caller = Caller(channel)
            assert caller.ask("ServerLive").live
            for given in ((), (("authorization", "Bearer wrong"),)):
                with pytest.raises(grpc.RpcError) as caught:
                    caller.ask("ServerMetadata", metadata=given)
                assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
            assert caller.ask("ServerMetadata", metadata=(("authorization", "Bearer open sesame"),)).name == "here"


@pytest.mark.parametrize("datatype", [*grpc_tensors.FIELDS, "FP16"])
def test_every_type_comes_back_raw_as_it_was(datatype: str) -> None:
    values: Any = [b"", b"ab\xff"] if datatype == "BYTES" else [0, 1]
    array = np.array(values, DTYPES[datatype]).reshape(2, 1)
    message = messages.ModelInferRequest()
    grpc_tensors.write((Tensor("x", array, {}),), message.inputs, message.raw_input_contents)
    [back] = grpc_tensors.read(message.inputs, message.raw_input_contents, Limits())
    assert back.array.dtype == array.dtype
    np.testing.assert_array_equal(back.array, array)


@pytest.mark.parametrize("datatype", grpc_tensors.FIELDS)
def test_every_type_but_half_floats_may_come_in_its_field(datatype: str) -> None:
    values: Any = [b"", b"ab\xff"] if datatype == "BYTES" else [False, True] if datatype == "BOOL" else [0, 1]
    message = messages.ModelInferRequest()
    entry = message.inputs.add(name="x", datatype=datatype, shape=[2])
    getattr(entry.contents, grpc_tensors.FIELDS[datatype]).extend(values)
    [back] = grpc_tensors.read(message.inputs, [], Limits())
    assert back.array.tolist() == values


def test_half_floats_come_raw_or_not_at_all() -> None:
    message = messages.ModelInferRequest()
    message.inputs.add(name="x", datatype="FP16", shape=[1]).contents.fp32_contents.append(1)
    with pytest.raises(BadTensor, match="raw"):
        grpc_tensors.read(message.inputs, [], Limits())
