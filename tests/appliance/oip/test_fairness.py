"""One caller's many questions, connections and faults cost another caller at most one turn."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

import grpc  # type: ignore[import-untyped]  # it ships no types
import numpy as np
import pytest

from appliance.catalogue import Catalogue
from appliance.oip import attention, grpc_attention, refusal_pace, sockets
from appliance.oip.proto import messages
from appliance.oip.serving import Serving
from appliance.oip.settings import Oip
from appliance.questions.question import Question, Refused, Reply
from appliance.result import ModelId
from appliance.service.backend import Opened
from appliance.service.room import Room
from scripts.benchmarks.floods_caller import infer_message, question
from scripts.benchmarks.sleepy_service import STAGES
from tests.waiting import until

pytestmark = pytest.mark.system

GOOD, FLOOD = "127.0.0.1", "127.0.0.2"
Status: TypeAlias = "int | grpc.StatusCode"


class Gate:
    """A model whose runs end when they are let go, and that keeps by whom they were asked."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self._ends = threading.Semaphore(0)

    def let_go(self, runs: int) -> None:
        for _ in range(runs):
            self._ends.release()

    def open(self) -> Opened:
        return Opened(Catalogue.default().shipped.find("tones").manifest, "gate", STAGES, 1)

    def run(self, questions: Sequence[Question]) -> list[Reply | Refused]:
        self.order += [each.device for each in questions]
        self._ends.acquire(timeout=20)
        tensors = {"y": np.zeros((1, 4), np.float32)}
        return [Reply(each.id, ModelId("", "", ""), None, tensors, 0.0, 1.0, "", "gate") for each in questions]

    def cancel(self) -> None:
        self.let_go(1)

    def close(self) -> None:
        """Nothing is held."""


class Served:
    """A gate in a room, offered over both transports to callers at several addresses."""

    def __init__(self, gate: Gate, room: Room, serving: Serving) -> None:
        self.gate, self.room, self.serving = gate, room, serving
        self._callers = ThreadPoolExecutor(80)

    def asked(self, via: str, address: str, model: str = "stated") -> Future[Status]:
        """A question over a connection of its own; how it ended."""
        ask = _over_rest if via == "rest" else _over_grpc
        where = str(getattr(self.serving.addresses, "http" if via == "rest" else "grpc"))
        return self._callers.submit(ask, int(where.rpartition(":")[2]), address, model)

    def waiting(self) -> int:
        """Questions that are not begun."""
        return self.room.models()[0].waiting

    def end(self) -> None:
        self.gate.let_go(1000)
        self._callers.shutdown()


@pytest.fixture
def served() -> Iterator[Served]:
    gate, stopping = Gate(), threading.Event()
    # Not checked: gRPC on all addresses without TLS, as its clients cannot choose from which of ours they ask.
    settings = Oip.model_construct(http="127.0.0.1:0", grpc="[::]:0")
    with Room({"stated": lambda: gate}) as room:
        until(lambda: room.settled)
        serving = Serving(room, settings, "fair")
        serving.listen()
        thread = threading.Thread(target=serving.run, args=(stopping,))
        thread.start()
        served = Served(gate, room, serving)
        try:
            yield served
        finally:
            served.end()
            stopping.set()
            thread.join()


def _over_rest(port: int, address: str, model: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30, source_address=(address, 0))
    with contextlib.closing(connection):
        body, json_bytes = question()
        headers = {"Inference-Header-Content-Length": str(json_bytes), "X-Forwarded-For": f"192.0.2.{id(body) % 250}"}
        connection.request("POST", f"/v2/models/{model}/infer", body, headers)
        response = connection.getresponse()
        response.read()
        return response.status


def _over_grpc(port: int, address: str, model: str) -> Status:
    request = infer_message(messages)
    request.model_name = model
    host = "127.0.0.1" if address == GOOD else "[::1]"
    with grpc.insecure_channel(f"{host}:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        call = channel.unary_unary(f"/{messages.SERVICE}/ModelInfer")
        try:
            call(request.SerializeToString(), timeout=30)
        except grpc.RpcError as error:
            code: Status = error.code()
            return code
        return 200


MOST = {
    "rest": min(attention.EACH, attention.UNDER_WAY // 2),
    "grpc": min(grpc_attention.EACH, grpc_attention.UNDER_WAY // 2),
}
"""Under way of one caller alone."""

BOTH = pytest.mark.parametrize("via", ["rest", "grpc"])


@BOTH
def test_whoever_comes_beside_a_flood_is_next(served: Served, via: str) -> None:
    flood = [served.asked(via, FLOOD) for _ in range(20)]
    until(lambda: served.waiting() == 19)
    good = served.asked(via, GOOD)
    until(lambda: served.waiting() == 20)
    served.gate.let_go(2)
    assert good.result(10) == 200
    assert sum(each.done() for each in flood) <= 1, "one of the flood was running, and no other came before"
    assert [caller == served.gate.order[0] for caller in served.gate.order[:3]] == [True, False, True]
    served.end()
    assert [each.result(10) for each in flood] == [200] * 20


@BOTH
def test_two_who_ask_again_at_once_have_the_model_in_turns(served: Served, via: str) -> None:
    flood = [served.asked(via, FLOOD) for _ in range(20)]
    for waiting in (19, 18, 17, 16):
        until(partial(lambda count: served.waiting() == count, waiting))
        good = served.asked(via, GOOD)
        until(partial(lambda count: served.waiting() == count, waiting + 1))
        served.gate.let_go(2)
        assert good.result(10) == 200
    until(lambda: len(served.gate.order) == 9)
    loud, *turns = served.gate.order
    assert [caller == loud for caller in turns] == [False, True] * 4
    until(lambda: sum(each.done() for each in flood) == 4)


@pytest.mark.parametrize(("via", "refused"), [("rest", 429), ("grpc", grpc.StatusCode.RESOURCE_EXHAUSTED)])
def test_who_has_too_much_under_way_is_turned_away_and_others_are_not(
    served: Served, via: str, refused: Status
) -> None:
    most = MOST[via]
    flood = [served.asked(via, FLOOD) for _ in range(most + 10)]
    until(lambda: sum(each.done() for each in flood) == 10, 10)
    assert {each.result() for each in flood if each.done()} == {refused}
    good = served.asked(via, GOOD)
    until(lambda: served.waiting() == most)
    served.gate.let_go(2)
    assert good.result(10) == 200
    assert served.serving.figures()[via].turned_away == 10
    served.end()


@BOTH
def test_whoever_is_told_no_very_often_waits_for_it_and_nobody_else_does(
    served: Served, via: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal_pace, "PER_S", 2.0)
    monkeypatch.setattr(refusal_pace, "AT_ONCE", 3)
    unknown = 404 if via == "rest" else grpc.StatusCode.NOT_FOUND
    flood = [served.asked(via, FLOOD, "nosuch") for _ in range(8)]
    until(lambda: served.serving.figures()[via].slowed == 5)
    served.gate.let_go(1)
    assert served.asked(via, GOOD).result(10) == 200
    assert not all(each.done() for each in flood)
    assert {each.result(10) for each in flood} == {unknown}


def test_calls_whose_messages_never_come_make_room_for_others_of_the_same_caller(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_attention, "WITHIN_S", 0.2)
    never = threading.Event()

    def nothing() -> Iterator[bytes]:
        never.wait(20)
        yield b""

    port = str(served.serving.addresses.grpc).rpartition(":")[2]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.stream_unary(f"/{messages.SERVICE}/ModelInfer")
        silent = [call.future(nothing(), timeout=30) for _ in range(grpc_attention.HANDS)]
        until(lambda: served.serving.figures()["grpc"].under_way == len(silent))
        served.gate.let_go(1)
        assert served.asked("grpc", GOOD).result(10) == 200
        assert any(each.code() is not None for each in silent if each.done())
        never.set()


def test_connections_of_one_caller_leave_room_for_those_of_another(served: Served) -> None:
    port = int(str(served.serving.addresses.http).rpartition(":")[2])
    crowd = [
        socket.create_connection(("127.0.0.1", port), 5, source_address=(FLOOD, 0))
        for _ in range(sockets.MOST_CONNECTIONS)
    ]
    until(lambda: _closed(crowd[-1]))
    served.gate.let_go(1)
    assert served.asked("rest", GOOD).result(10) == 200
    for each in crowd:
        each.close()


def _closed(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    return True


def test_a_caller_cannot_give_itself_another_address(served: Served) -> None:
    flood = [served.asked("rest", FLOOD) for _ in range(4)]
    until(lambda: served.waiting() == 3)
    assert served.serving.figures()["rest"].callers == 1
    served.end()
    assert {each.result(10) for each in flood} == {200}
    assert set(served.gate.order) == {f"oip:{FLOOD}"}


def test_a_body_that_takes_long_to_read_holds_up_its_own_caller_only(served: Served) -> None:
    """So many that every thread would have one."""
    port = int(str(served.serving.addresses.http).rpartition(":")[2])
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 9], "data": [0] * 200_000}]}).encode()
    head = f"POST /v2/models/stated/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    crowd = [socket.create_connection(("127.0.0.1", port), 5, source_address=(FLOOD, 0)) for _ in range(24)]
    for each in crowd:
        each.settimeout(20)
        each.sendall(head.encode() + body)
    served.gate.let_go(1)
    assert served.asked("rest", GOOD).result(10) == 200
    silent = [each for each in crowd if not _answered(each)]
    assert silent, "the good caller did not wait for all of them"
    for each in crowd:
        each.close()


def _answered(connection: socket.socket) -> bool:
    connection.settimeout(0.001)
    try:
        return bool(connection.recv(1))
    except TimeoutError:
        return False
